"""What is compared of a message of Kafka: the digest of what was sent is that of what is read back,
and that of nothing else."""

import random
from types import SimpleNamespace

import pytest

from eventstore.messaging import cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.kafka.producer import Prepared
from eventstore.messaging.reconcile import attributes
from eventstore.messaging.reconcile.kafka import fingerprinter, read_back
from eventstore.messaging.reconcile.records import NO_POSITION
from eventstore.messaging.reconcile.sorting import merged

from .test_cloudevents import ENVELOPE

KEY = b"TEA-EARL-GREY"
IN_BINARY, IN_STRUCTURED = Origin("/shop"), Origin("/shop", structured=True)


def sent(origin, envelope=ENVELOPE):
    """The digest that the log gives, and the message as a consumer receives it."""
    encoded = cloudevents.for_kafka(envelope, origin)
    prepared = Prepared("events.shop", encoded.value, KEY, encoded.headers)
    fingerprint = fingerprinter(SimpleNamespace(prepare=lambda envelope: prepared))
    headers = [(name, text.encode()) for name, text in encoded.headers.items()]
    return fingerprint(envelope).digest, (prepared.key, prepared.value, headers)


@pytest.mark.parametrize("origin", [IN_BINARY, IN_STRUCTURED])
@pytest.mark.parametrize("changes", [{}, {"trace": "", "previous": 0}, {"type": "shop.grüße"}])
def test_what_was_sent_is_read_back(origin, changes):
    digest, message = sent(origin, ENVELOPE._replace(**changes))
    assert read_back(*message) == (ENVELOPE.id.bytes, digest, ENVELOPE.position)


def test_neither_the_order_of_headers_nor_those_of_others_count():
    digest, (key, value, headers) = sent(IN_BINARY)
    shuffled = [*headers, ("proxy", b"a"), ("proxy", b"b"), ("empty", None), headers[3]]
    random.Random(1).shuffle(shuffled)
    assert read_back(key, value, shuffled)[1] == digest


def test_each_change_of_a_part_that_is_ours_counts():
    digest, (key, value, headers) = sent(IN_BINARY)
    digests = [digest, read_back(b"x", value, headers)[1], read_back(None, value, headers)[1]]
    digests += [read_back(key, b"x", headers)[1], read_back(key, None, headers)[1]]
    for place, (name, text) in enumerate(headers):
        before, after = headers[:place], headers[place + 1 :]
        for changed in (
            [],
            [(name, text + b" ")],
            [(name, None)],
            [(name, text), (name, b"x")],
            [("ce_x" + name, text)],
        ):
            digests.append(read_back(key, value, [*before, *changed, *after])[1])
    swapped = [(headers[1][0], headers[2][1]), (headers[2][0], headers[1][1])]
    digests.append(read_back(key, value, [headers[0], *swapped, *headers[3:]])[1])
    assert len({*digests}) == len(digests)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("event-id", None), ("ce_position", b"-1")],
        [("event-id", b"\xff"), ("ce_position", b"\xff")],
        [("event-id", b"order-1"), ("ce_position", b"9" * 30)],
        [("ce_position", b" 1")],
    ],
)
def test_a_message_of_others_has_an_id_of_sixteen_bytes_and_no_position(headers):
    id_, _, position = read_back(None, None, headers)
    assert len(id_) == 16
    assert position == NO_POSITION


def test_few_layouts_are_kept_however_many_there_are():
    for number in range(5000):
        read_back(None, None, [(f"header-{number}", b"")])
    assert attributes.layout.cache_info().currsize <= 64
    assert attributes.is_ours.cache_info().currsize <= 1000


@pytest.mark.parametrize("seed", range(20))
def test_runs_of_blocks_are_merged_in_order(seed):
    chance = random.Random(seed)
    runs = [
        sorted(chance.randbytes(1) for _ in range(chance.randrange(60)))
        for _ in range(chance.randrange(6))
    ]
    blocks = [[run[start : start + 7] for start in range(0, len(run), 7)] for run in runs]
    assert list(merged([iter([*each, []]) for each in blocks])) == sorted(
        each for run in runs for each in run
    )
