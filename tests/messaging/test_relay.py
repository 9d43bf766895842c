"""What a relay sends, parks and passes; pure, and against the mock broker of the Kafka client."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest
from confluent_kafka import KafkaError

from eventstore.messaging import kafka, relay_batch
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.kafka.checkpoint import Checkpoint
from eventstore.messaging.kafka.producer import InFlight
from eventstore.messaging.relay_batch import Load
from eventstore.messaging.transport import Batch, Outgoing, TooLarge, TopicMissing, Unroutable
from eventstore.outbox import parked

from .world import CounterChanged


def load(*messages, due=(), held=(), refused=(), until=100):
    """messages: (position, key)."""
    return Load(
        claim=SimpleNamespace(position=0),
        until=until,
        is_full=False,
        messages=[SimpleNamespace(position=at, stream=key) for at, key in messages],
        due=dict(due),
        held=frozenset(held),
        refused=dict(refused),
    )


def test_all_acknowledged_the_cursor_moves_to_the_end():
    assert relay_batch.passed(load((1, "a"), (2, "b")), {1, 2}) == ([], 100)


def test_the_cursor_stops_before_the_first_that_is_not_acknowledged():
    """The next success must not carry it past one that failed."""
    assert relay_batch.passed(load((1, "a"), (2, "b"), (3, "c")), {1, 3}) == ([], 1)


def test_a_refused_message_is_parked_with_those_of_its_key_even_if_they_were_acknowledged():
    refused = {1: TooLarge("too large")}
    places, position = relay_batch.passed(
        load((1, "a"), (2, "b"), (3, "a"), refused=refused), {2, 3}
    )
    assert [(each.position, each.key, each.status) for each in places] == [
        (1, "a", "dead"),
        (3, "a", "waiting"),
    ]
    assert position == 100


def test_a_refusal_behind_the_first_gap_waits_for_its_turn():
    refused = {3: Unroutable("nowhere")}
    assert relay_batch.passed(load((1, "a"), (2, "b"), (3, "c"), refused=refused), {1}) == ([], 1)


def test_what_is_unroutable_is_tried_again():
    places, _ = relay_batch.passed(load((1, "a"), refused={1: Unroutable("nowhere")}), set())
    assert (places[0].status, places[0].attempts) == ("failed", 1)
    assert places[0].attempts < parked.ATTEMPTS


def test_nothing_is_sent_behind_what_is_held_or_refused():
    found = load((1, "a"), (2, "b"), (3, "a"), (4, "c"), held={"b"}, refused={1: TooLarge("")})
    assert [each.position for each in relay_batch.sendable(found)] == [4]


def test_a_parked_message_is_sent_again_although_its_key_is_held():
    found = load((1, "a"), (5, "a"), (6, "b"), due={1: 2}, held={"a"})
    assert [each.position for each in relay_batch.sendable(found)] == [1, 6]


class TestMockBroker:
    """Inside the client: no evidence for transactions, but for reports and partitions."""

    @pytest.fixture
    def transport(self, monkeypatch):
        monkeypatch.setattr(
            kafka.KafkaAdministration,
            "limits",
            lambda self, topics: dict.fromkeys(topics, 0),
        )
        client = {
            "test.mock.num.brokers": 1,
            "bootstrap.servers": "",
            "allow.auto.create.topics": True,
        }
        made = kafka.Kafka("toy@kafka", Origin("/toy"), {"client": client, "transactions": False})
        yield made
        made.close()

    def test_each_message_is_acknowledged_by_its_report(self, transport):
        sent = transport.send(batch(50, transport.prepare), nothing)
        assert sent.acknowledged == frozenset(range(1, 51))
        assert sent.problem is None

    def test_a_message_that_the_client_refuses_is_refused_alone(self, transport):
        transport.options = transport.options._replace(max_message_bytes=2_000)
        with pytest.raises(TooLarge):
            transport.prepare(envelope(1, "x" * 3_000))
        transport.prepare(envelope(2))


def test_errors_of_reports_count_and_not_that_nothing_is_left_in_the_queue():
    missing = KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART)
    sent = in_flight((1, None), (2, missing), (3, None)).outcome()
    assert sent.acknowledged == {1, 3}
    assert isinstance(sent.problem, TopicMissing)


def test_a_message_without_a_report_is_not_acknowledged():
    silence = KafkaError(KafkaError._TRANSPORT, "silence")
    sent = in_flight((1, None), (3, None), errors=[silence]).outcome()
    assert sent.acknowledged == {1, 3}
    assert str(sent.problem) == "silence"


def in_flight(*reports, errors=()):
    """A batch of three messages with these reports."""
    found = InFlight(None, batch(3), errors)
    found.reports += reports
    found.wanted = 3
    return found


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"no JSON",
        b"\xff",
        b"7",
        b"[1, 2, []]",
        b"{}",
        b'{"mark": 1, "token": 2}',
        b'{"mark": "x", "token": 2, "positions": []}',
        b'{"mark": 1, "token": 2, "positions": ["many"]}',
        b'{"more": ' + b"[" * 100_000,
    ],
)
def test_a_record_of_another_program_is_no_checkpoint(value):
    assert Checkpoint.of(value) is None


def test_a_checkpoint_is_read_as_it_was_written():
    written = Checkpoint(None, 7, (1, 2))
    assert written.value == b'{"mark":null,"token":7,"positions":[1,2]}'
    assert Checkpoint.of(written.value) == written


def nothing():
    """To do while the broker is waited for."""


def batch(number, prepare=lambda envelope: envelope):
    messages = [Outgoing(n, [prepare(envelope(n))]) for n in range(1, number + 1)]
    return Batch("toy@kafka", 1, 1, 0, time.monotonic() + 20, messages)


def envelope(position, note=""):
    nil = UUID(int=position)
    event = CounterChanged("a", position, note)
    time_ = datetime(2026, 1, 1, tzinfo=UTC)
    return Envelope(nil, "toy.changed", "counter-a", position, time_, nil, nil, event)
