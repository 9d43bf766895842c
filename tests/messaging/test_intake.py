"""What a reader stores: each message once, in the order of its stream, with its offset."""

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from eventstore.messages import BrokerMessage
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Arrived, OffsetMoved, Partition, Progress, Range
from eventstore.models import ConsumerOffset, EarlyMessage, OutboxMessage, Received
from eventstore.outbox import received
from eventstore.subscriptions import Consumer

pytestmark = pytest.mark.django_db(transaction=True)
NAME, TOPIC, QUEUE = "toy.reader", Partition("events.toy", 0), Partition("toy.reader", 0)


@pytest.fixture(autouse=True)
def wired(toys):
    toys({NAME: Consumer("kafka", ["events.toy"], {})})
    intake.begin(NAME, [QUEUE])


def message(stream, number, previous=None, *, id_=None, offset=-1):
    headers = {
        "ce_id": id_ or f"{stream}/{number}",
        "ce_source": "urn:them",
        "ce_stream": stream,
        "ce_sequence": str(number),
        "ce_previoussequence": str(number - 1 if previous is None else previous),
    }
    pairs = tuple((name.encode(), text.encode()) for name, text in headers.items())
    return BrokerMessage("kafka", "events.toy", stream.encode(), b"{}", pairs, 0, offset)


def from_queue(messages):
    return intake.store_from_queue(NAME, QUEUE, messages)


def in_outbox():
    """(stream, sequence) in order."""
    found = []
    for row in OutboxMessage.objects.filter(topic=NAME).order_by("position"):
        assert row.type == intake.TYPE
        as_sent = intake.arrived(
            intake.codec.decoder(BrokerMessage)(intake.codec.encode_json(row.payload))
        )
        found.append((as_sent.stream.removeprefix("urn:them "), as_sent.sequence))
    return found


def test_a_repeat_is_stored_once_in_one_batch_and_in_the_next():
    first, second = message("s", 1), message("s", 2)
    assert from_queue([first, first, second]) == 2
    assert from_queue([second, first]) == 0
    assert in_outbox() == [("s", 1), ("s", 2)]
    assert not Received.objects.exists()  # their places are known, by one row for the stream


def test_a_repeat_is_recognized_after_the_inbox_has_forgotten_it():
    """Such as when a relay is reset, and publishes the whole log again."""
    messages = [message("s", n) for n in (1, 2, 3)]
    from_queue(messages)
    received.forget(older_than=timedelta(0))
    assert from_queue(messages) == 0
    assert len(in_outbox()) == 3


def test_a_message_that_does_not_tell_its_place_is_known_by_its_id():
    headers = ((b"ce_id", b"7"), (b"ce_source", b"urn:them"), (b"ce_sequence", b"3"))
    foreign = BrokerMessage("kafka", "events.toy", b"k", b"{}", headers)
    assert from_queue([foreign, foreign]) == 1
    assert from_queue([foreign]) == 0
    assert Received.objects.filter(source=NAME).count() == 1


def test_an_early_message_waits_for_the_one_before_it():
    """A producer without transactions repeats a failed message behind later ones: 2 3 1 2 3."""
    one, two, three = (message("s", n) for n in (1, 2, 3))
    assert from_queue([two, three, message("other", 1)]) == 3
    assert in_outbox() == [("other", 1)]
    from_queue([one, two, three])
    assert in_outbox() == [("other", 1), ("s", 1), ("s", 2), ("s", 3)]
    assert not EarlyMessage.objects.exists()


def test_what_never_comes_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(intake, "PATIENCE", timedelta(0))
    from_queue([message("s", 7), message("s", 8)])
    assert in_outbox() == []
    assert intake.release_overdue(NAME) == 2
    assert in_outbox() == [("s", 7), ("s", 8)]
    from_queue([message("s", 9)])
    assert in_outbox()[-1] == ("s", 9)


def test_a_message_that_was_missing_is_stored_when_it_comes_after_all(monkeypatch):
    """Such as one that was published again to fill a hole."""
    monkeypatch.setattr(intake, "PATIENCE", timedelta(0))
    from_queue([message("s", 7)])
    intake.release_overdue(NAME)
    assert from_queue([message("s", 6), message("s", 7)]) == 1
    assert in_outbox() == [("s", 7), ("s", 6)]


def test_messages_without_a_sequence_and_without_an_id_are_stored_as_they_come():
    plain = BrokerMessage("kafka", "events.toy", None, None)
    assert from_queue([plain, plain]) == 2


def test_messages_without_a_key_do_not_wait_for_one_another():
    def key(**attributes):
        pairs = tuple((f"ce_{name}".encode(), each.encode()) for name, each in attributes.items())
        return intake.arrived(BrokerMessage("rabbitmq", "events.toy", None, b"{}", pairs)).key

    assert key(subject="c1", id="1", source="urn:crm") == "c1"
    assert key(subject="c1", partitionkey="p", id="1", source="urn:crm") == "p"
    assert key(id="1", source="urn:crm") == "urn:crm 1"
    assert key() != key()


def test_offsets_move_with_the_messages_or_not_at_all():
    assert intake.begin(NAME, [TOPIC]) == {TOPIC: 0}
    intake.store(NAME, [message("s", 1)], {TOPIC: Range(0, 5)})
    assert intake.begin(NAME, [TOPIC]) == {TOPIC: 5}
    with pytest.raises(RuntimeError), transaction.atomic():
        intake.store(NAME, [message("s", 2)], {TOPIC: Range(5, 6)})
        raise RuntimeError
    assert intake.begin(NAME, [TOPIC]) == {TOPIC: 5}
    assert in_outbox() == [("s", 1)]


def test_a_reader_that_has_lost_its_partition_stores_nothing():
    """A rebalance has given it to another one, which has read on."""
    intake.begin(NAME, [TOPIC])
    intake.store(NAME, [message("s", 1)], {TOPIC: Range(0, 1)})
    with pytest.raises(OffsetMoved):
        intake.store(NAME, [message("s", 1, id_="a"), message("s", 2)], {TOPIC: Range(0, 2)})
    assert in_outbox() == [("s", 1)]
    assert ConsumerOffset.objects.get(topic=TOPIC.topic).next == 1


def test_one_lost_partition_of_two_refuses_the_whole_batch():
    second = Partition("events.toy", 1)
    intake.begin(NAME, [TOPIC, second])
    intake.seek(NAME, second, 9)
    with pytest.raises(OffsetMoved):
        intake.store(NAME, [message("s", 1)], {TOPIC: Range(0, 1), second: Range(0, 3)})
    assert intake.begin(NAME, [TOPIC, second]) == {TOPIC: 0, second: 9}


@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_any_order_with_repeats_comes_out_in_order(rng, number):
    messages = [Arrived("s", n, n - 1, "", "", "") for n in range(1, number + 1)]
    sent = rng.sample(messages * 2, 2 * number)
    known, early, out = {}, [], []
    while sent:
        size = rng.randint(1, len(sent))
        ready, early, known = intake.in_order(sent[:size], known, early)
        sent, out = sent[size:], out + [each.sequence for each in ready]
    assert out == list(range(1, number + 1))
    assert not early


@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_what_was_passed_over_is_stored_once_when_it_comes_after_all(rng, number):
    """Whatever was lost at first, and in whatever order it is sent again."""
    messages = [Arrived("s", n * 1000, (n - 1) * 1000, "", "", "") for n in range(1, number + 1)]
    arrived = [each for each in messages if rng.random() < 0.5]
    progress = Progress()
    for each in arrived:
        progress = progress.with_(each)
    ready, early, known = intake.in_order(rng.sample(messages * 2, 2 * number), {"s": progress}, [])
    ready += [each for each in sorted(early, key=lambda each: each.sequence)]
    assert sorted(each.sequence for each in arrived + ready) == [each.sequence for each in messages]
    if not early:
        assert list(known["s"].gaps) == []
