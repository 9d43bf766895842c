"""Consumers of real brokers: each message has its effect once, and in order, whatever dies."""

import os
import signal
import threading
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from django.core.management import CommandError, call_command

from eventstore.messaging import brokers, relay
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition
from eventstore.models import ConsumerOffset, OutboxMessage, Parked
from eventstore.operations import control, dead_letters
from eventstore.outbox import cursors
from eventstore.postgres import execute, rows
from tests.eventstore.toy import Count

from . import world
from .conftest import count, delivered, drained, settled, topic_of, until

pytestmark = pytest.mark.django_db(transaction=True)


def echoed(of):
    """counter -> the amounts that the consumer's commands have counted, in order."""
    found = {}
    for stream, amount in rows(
        "SELECT stream, (data->>'amount')::int FROM eventstore_event WHERE stream LIKE %s"
        " ORDER BY position",
        [f"counter-{of.context}-%"],
    ):
        found.setdefault(stream.rpartition("-")[2], []).append(amount)
    return found


def arrived(of, number):
    return delivered() and sum(map(len, echoed(of).values())) >= number


def wanted(number, *, counters=5):
    found = {}
    for n in range(1, number + 1):
        found.setdefault(f"c{n % counters}", []).append(n)
    return found


@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_each_message_has_its_effect_once_and_in_order(broker, consumers, reading):
    of = consumers(broker)
    reading(of)
    count(300)
    until(lambda: arrived(of, 300))
    assert echoed(of) == wanted(300)


def test_with_a_schema_registry_of_another_system_messages_in_json_are_read(
    consumers, reading, settings
):
    """It is asked for those in Avro only."""
    settings.EVENTSTORE_SCHEMA_REGISTRY = {"url": "http://127.0.0.1:9"}
    of = consumers("kafka")
    reading(of)
    count(5)
    until(lambda: arrived(of, 5))
    assert echoed(of) == wanted(5)


@pytest.mark.parametrize("fate", ["die", "after"])
@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_kill_9_repeats_no_effect_and_loses_none(broker, fate, consumers, consumer_process):
    of = consumers(broker)
    count(100)
    settled(of.name)
    assert consumer_process(of, fate).wait(60) == -signal.SIGKILL
    consumer_process(of)
    until(lambda: arrived(of, 100))
    assert echoed(of) == wanted(100)


def test_the_control_that_moves_the_offset_before_the_effect_loses_messages(
    consumers, reading, monkeypatch
):
    """What the commit of offset and message is for."""
    of = consumers("kafka")
    true = intake.store

    def offset_first(consumer, messages, ranges):
        true(consumer, [], ranges)
        raise RuntimeError("killed here")

    monkeypatch.setattr(intake, "store", offset_first)
    reader = reading(of)
    count(50)
    settled(of.name)
    until(lambda: ConsumerOffset.objects.filter(consumer=of.consumer, next__gt=0).count() >= 3)
    reader.stop()
    reader.join()
    monkeypatch.setattr(intake, "store", true)
    reading(of)
    time.sleep(3)
    assert not arrived(of, 50)


def test_a_zombie_stores_nothing_after_a_rebalance(consumers, consumer_process):
    """It stands still in its transaction for longer than its session; another one takes over."""
    of = consumers("kafka", client={"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000})
    count(100)
    settled(of.name)
    zombie = consumer_process(of, "stop")
    until(lambda: os.waitpid(zombie.pid, os.WUNTRACED | os.WNOHANG) != (0, 0))
    # The zombie's transaction holds the rows of its offsets: as after a time-out of the server.
    execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()"
        " AND datname = current_database()"
    ).close()
    consumer_process(of)
    until(lambda: arrived(of, 100))
    zombie.send_signal(signal.SIGCONT)
    count(50, first=101)
    until(lambda: arrived(of, 150))
    assert echoed(of) == wanted(150)


def test_two_processes_share_the_partitions(consumers, consumer_process):
    of = consumers("kafka")
    for _ in range(2):
        consumer_process(of)
    count(300)
    until(lambda: arrived(of, 300))
    assert echoed(of) == wanted(300)


@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_a_message_that_keeps_failing_is_parked_and_copied_to_its_dead_letters(
    broker, consumers, reading, kafka_server, rabbitmq_server, monkeypatch
):
    """The messages of other keys go on; a retry with repaired code counts."""
    broken = {"c2"}

    def fragile(envelope):
        if envelope.event.counter_id in broken:
            raise ValueError("no such counter")
        event = envelope.event
        return [Count(f"{of.context}-{event.counter_id}", event.amount, world.ECHO)]

    monkeypatch.setattr("eventstore.outbox.parked.ATTEMPTS", 1)
    of = consumers(broker, {"*": fragile})
    reading(of)
    count(50)
    until(lambda: arrived(of, 40))
    assert echoed(of) == {key: amounts for key, amounts in wanted(50).items() if key != "c2"}
    until(lambda: Parked.objects.filter(subscription=of.consumer, copied=1).exists())
    headers, value = dead_letter(broker, of, kafka_server, rabbitmq_server)
    assert headers["dlq-reason"] == "ValueError: no such counter"
    assert headers["retry-count"] == "1"
    assert headers["event-type"] == of.type
    assert b'"counter_id":"c2","amount":2' in value
    broken.clear()
    (position,) = Parked.objects.filter(subscription=of.consumer, status="dead").values_list(
        "position", flat=True
    )
    dead_letters.retry(of.consumer, [position], who="ada")
    until(lambda: arrived(of, 50))
    assert echoed(of) == wanted(50)


def dead_letter(broker, of, kafka_server, rabbitmq_server):
    """Headers and value of the only one."""
    if broker == "kafka":
        (message,) = topic_of(kafka_server, f"{of.topic}.dlq", 1)
        headers = {name: value.decode() for name, value in message.headers()}
        assert (headers["original-topic"], message.key()) == (of.topic, b"c2")
        assert int(headers["original-offset"]) >= 0
        return headers, message.value()
    (message,) = drained(rabbitmq_server, f"{of.consumer}.dlq")
    assert message.headers["original-topic"] == f"events.{of.type}"
    return message.headers, message.body


def test_a_handler_longer_than_the_session_costs_no_partition(consumers, reading, process):
    """The reader goes on polling, and stores what comes meanwhile."""
    begun, go_on = threading.Event(), threading.Event()

    def slow(envelope):
        begun.set()
        assert go_on.wait(60)

    session = {"session.timeout.ms": 6000, "max.poll.interval.ms": 6000}
    of = consumers("kafka", {"*": slow}, client={**session, "heartbeat.interval.ms": 1000})
    process(of)  # relays; this process would run the handler itself
    reader = reading(of)
    count(5)
    try:
        assert begun.wait(60)
        assigned = set(reader.source.assigned.next)
        time.sleep(8)
        count(5, first=6)
        until(lambda: OutboxMessage.objects.filter(topic=of.consumer).count() == 10)
        assert set(reader.source.assigned.next) == assigned
    finally:
        go_on.set()
    until(lambda: not cursors.is_far_behind(of.consumer, 0))


@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_a_paused_consumer_leaves_its_messages_with_the_broker(broker, consumers, reading):
    """Otherwise the outbox would grow for as long as the pause lasts."""
    of = consumers(broker)
    reader = reading(of)
    count(10)
    until(lambda: arrived(of, 10))
    control.pause(of.consumer, who="ada")
    until(lambda: getattr(reader.source, "assigned", reader.source).held)
    count(10, first=11)
    settled(of.name)
    time.sleep(1.0)
    assert OutboxMessage.objects.filter(topic=of.consumer).count() <= 10
    control.resume(of.consumer, who="ada")
    until(lambda: arrived(of, 20))
    assert echoed(of) == wanted(20)


def test_without_workers_a_new_consumer_passes_over_the_log_and_reads(
    consumers, reading, monkeypatch
):
    """It stands further behind than it may to read, and only a step moves its cursor."""
    monkeypatch.setattr("eventstore.delivery.readers.BACKLOG", 10)
    heard = []
    of = consumers("kafka", {"*": lambda envelope: heard.append(envelope.event.amount)})
    count(60)
    settled(of.name)
    execute("UPDATE eventstore_subscription SET position = 0 WHERE name = %s", [of.consumer])
    assert cursors.is_far_behind(of.consumer, 10)
    reading(of)
    until(lambda: sorted(heard) == list(range(1, 61)))


def test_without_workers_a_reader_delivers_what_one_before_it_has_stored(
    consumers, reading, consumer_process
):
    heard = []
    of = consumers("kafka", {"*": lambda envelope: heard.append(envelope.event.amount)})
    count(5, counters=1)
    settled(of.name)
    assert consumer_process(of, "after").wait(60) == -signal.SIGKILL
    assert OutboxMessage.objects.filter(topic=of.consumer).exists()
    assert heard == []
    reading(of)
    until(lambda: heard == [1, 2, 3, 4, 5])


def test_what_foreign_producers_send_never_ends_the_loop(consumers, reading, kafka_server):
    of = consumers("kafka")
    reading(of)
    producer = Producer({"bootstrap.servers": kafka_server.address})
    for value, headers in (
        (None, None),
        (b"\xff\xfe", [("ce_type", b"\xff"), ("ce_type", None)]),
        (b"{}", [("ce_type", of.type), ("ce_id", "x\x00y"), ("ce_sequence", "many")]),
        (b"[" * 200_000, [("content-type", "application/cloudevents+json")]),
    ):
        producer.produce(of.topic, value, key=b"\xc3\x28", headers=headers)
    assert producer.flush(10) == 0
    count(20)
    until(lambda: arrived(of, 20))
    assert echoed(of) == wanted(20)
    (parked,) = Parked.objects.filter(subscription=of.consumer).exclude(status="waiting")
    assert parked.error.startswith("Unreadable")
    assert parked.status == "dead"


def test_a_hole_that_retention_has_left_is_reported_and_jumped_over_by_an_operator(
    consumers, reading, kafka_server
):
    of = consumers("kafka", partitions=1)
    count(20)
    settled(of.name)
    admin = AdminClient({"bootstrap.servers": kafka_server.address})
    (deleted,) = admin.delete_records([TopicPartition(of.topic, 0, 9)]).values()
    deleted.result(10)
    reading(of)
    partition = Partition(of.topic, 0)
    until(lambda: any(each.found == 9 for each in intake.offsets()))
    assert echoed(of) == {}
    control.seek(of.consumer, partition, 9, who="ada", reason="refilled from the log")
    reading(of)
    until(lambda: arrived(of, 1))


def test_nothing_depends_on_what_is_committed_to_kafka(consumers, reading, kafka_server):
    """Committed offsets expire, and a group can be deleted."""
    of = consumers("kafka")
    reader = reading(of)
    count(30)
    until(lambda: arrived(of, 30))
    reader.stop()
    reader.join()
    admin = AdminClient({"bootstrap.servers": kafka_server.address})
    until(lambda: _deleted(admin, of.consumer))
    count(30, first=31)
    reading(of)
    until(lambda: arrived(of, 60))
    assert echoed(of) == wanted(60)


def _deleted(admin, group):
    try:
        (future,) = admin.delete_consumer_groups([group]).values()
        future.result(10)
    except Exception:  # noqa: BLE001  it is not empty yet
        return False
    return True


def test_a_queue_that_was_declared_otherwise_is_said_by_name(consumers, rabbitmq_server):
    of = consumers("rabbitmq")
    administration = brokers.administration("rabbitmq")
    readings = brokers.readings("rabbitmq")
    assert administration.declared_otherwise(readings) == []
    with administration._connection() as connection, connection.channel() as channel:
        channel.queue_delete(of.consumer)
        channel.queue_declare(of.consumer, durable=True, auto_delete=False)
    (problem,) = administration.declared_otherwise(readings)
    assert of.consumer in problem
    with pytest.raises(CommandError, match=f"declares otherwise: {of.consumer}"):
        call_command("brokers")
    assert relay.published_by("rabbitmq")
