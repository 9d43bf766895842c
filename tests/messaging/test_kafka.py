"""Relays to a real Kafka: exactly once, in order per key, whatever is killed or missing."""

import base64
import random
import signal
import subprocess
import threading
import time

import psutil
import pytest
from confluent_kafka import Producer

from eventstore.log import ANY, append, epochs
from eventstore.messaging import brokers, relay
from eventstore.messaging.kafka import checkpoint
from eventstore.models import Event, Parked, RelayLease, Subscription
from eventstore.operations import dead_letters
from tests.eventstore.toy import Counted
from tools.devserver import kafka as devserver

from . import world
from .conftest import (
    LONG,
    by_key,
    count,
    delivered,
    end_lease,
    expected,
    only_long,
    settled,
    topic_of,
    until,
)

pytestmark = [pytest.mark.django_db(transaction=True)]
# Values that no relay writes. Fewer than the doctor looks through.
FOREIGN = (b"no JSON", b"[1]", b'{"positions": "many"}', b"\xff", None)


def test_events_arrive_once_and_in_order_with_all_attributes(to_kafka, kafka_server):
    of = to_kafka()
    count(50)
    settled(of.name)
    messages = topic_of(kafka_server, of.topic, 50)
    assert by_key(messages) == expected(50)
    headers = {name: value.decode() for name, value in messages[0].headers()}
    first = Event.objects.get(stream=f"counter-{messages[0].key().decode()}", version=1)
    assert headers["ce_type"] == headers["event-type"] == of.type
    assert headers["ce_position"] == str(first.position)
    assert headers["ce_sequence"] == "0000000000001000"
    assert headers["ce_kind"] == "integration"


@pytest.mark.parametrize("transactions", [True, pytest.param(False, marks=only_long)])
def test_an_oversized_message_is_parked_alone(to_kafka, kafka_server, transactions):
    of = to_kafka(max_message_bytes=20_000, transactions=transactions)
    count(10)
    append("counter-c1", [Counted("c1", 11, "x" * 30_000)], expected=ANY)
    count(10, first=12)
    settled(of.name)
    dead = Parked.objects.get(subscription=of.name, status="dead")
    assert "KAFKA_MAX_MESSAGE_BYTES" in dead.error
    behind = Parked.objects.filter(subscription=of.name, key="counter-c1").exclude(pk=dead.pk)
    assert behind.count() == 2
    found = by_key(topic_of(kafka_server, of.topic, 18))
    wanted = expected(10) | {k: v + expected(10, first=12)[k] for k, v in expected(10).items()}
    assert found == wanted | {"c1": [1, 6]}


@pytest.mark.parametrize("transactions", [True, pytest.param(False, marks=only_long)])
def test_what_only_the_broker_finds_too_large_is_parked_alone(
    to_kafka, kafka_server, transactions, monkeypatch
):
    of = to_kafka(transactions=transactions, max_message_bytes=900_000)
    _limit(of, 20_000)
    # As where our role may not read the limits of topics.
    monkeypatch.setattr(
        "eventstore.messaging.kafka.administration.KafkaAdministration.limits",
        lambda self, topics: dict.fromkeys(topics, 0),
    )
    count(10)
    noise = base64.b64encode(random.Random(1).randbytes(60_000)).decode()
    append("counter-c1", [Counted("c1", 11, noise)], expected=ANY)
    count(10, first=12)
    settled(of.name)
    dead = Parked.objects.get(subscription=of.name, status="dead")
    assert "broker's limit" in dead.error
    found = by_key(topic_of(kafka_server, of.topic, 18))
    wanted = expected(10) | {k: v + expected(10, first=12)[k] for k, v in expected(10).items()}
    wanted |= {"c1": [1, 6]}
    if transactions:
        assert found == wanted
    else:  # what was acknowledged beside and behind it is repeated
        once = {key: list(dict.fromkeys(amounts)) for key, amounts in found.items()}
        assert once == wanted | {"c1": [1, 6, 16, 21]}


def test_the_limit_of_the_topic_is_known_before_anything_is_sent(to_kafka):
    of = to_kafka()
    _limit(of, 5_000)
    append("counter-a", [Counted("a", 1, "y" * 6_000)], expected=ANY)
    until(lambda: delivered() and Parked.objects.filter(subscription=of.name).exists())
    error = Parked.objects.get(subscription=of.name).error
    assert "takes at most 5000" in error


def test_a_missing_topic_is_named_and_nothing_is_passed_until_it_is_there(to_kafka, kafka_server):
    of = to_kafka(create=False)
    count(20)
    until(lambda: delivered() and RelayLease.objects.filter(pk=of.name).exclude(error="").exists())
    state = RelayLease.objects.get(pk=of.name)
    assert "TopicMissing" in state.error
    assert "manage.py brokers --create" in state.error
    assert Subscription.objects.get(pk=of.name).position == 0
    brokers.administration("kafka").create(relay.published_by("kafka"))
    settled(of.name)
    assert by_key(topic_of(kafka_server, of.topic, 20)) == expected(20)
    assert RelayLease.objects.get(pk=of.name).error == ""


def test_a_relay_killed_between_kafkas_commit_and_ours_repeats_nothing(
    to_kafka, kafka_server, process
):
    of = to_kafka()
    rounds = 5 if LONG else 1
    for round_ in range(rounds):
        count(100, first=1 + 100 * round_)
        assert process(of, "die").wait(60) == -signal.SIGKILL
        end_lease(of.name)
    settled(of.name)
    wanted = 100 * rounds
    assert by_key(topic_of(kafka_server, of.topic, wanted)) == expected(wanted)
    assert not Parked.objects.filter(subscription=of.name).exists()


def test_records_of_other_programs_beside_its_checkpoint_harm_neither_relay_nor_doctor(
    to_kafka, kafka_server, process
):
    of = to_kafka()
    count(100)
    assert process(of, "die").wait(60) == -signal.SIGKILL
    producer = Producer({"bootstrap.servers": kafka_server.address})
    for value in FOREIGN:
        producer.produce(checkpoint.topic(of.name), value, of.name.encode())
        producer.produce(checkpoint.topic(of.name), value, b"\xff")
    assert producer.flush(10) == 0
    published = relay.published_by("kafka")
    assert list(brokers.administration("kafka").state(published, (), ()).newest) == [of.name]
    end_lease(of.name)
    settled(of.name)
    assert by_key(topic_of(kafka_server, of.topic, 100)) == expected(100)
    assert not Parked.objects.filter(subscription=of.name).exists()


def test_a_crash_of_postgresql_between_the_two_commits_repeats_nothing(
    to_kafka, kafka_server, process
):
    """The log is in another epoch then, and has lost nothing."""
    of = to_kafka()
    count(100)
    assert process(of, "die").wait(60) == -signal.SIGKILL
    end_lease(of.name)
    epochs.begin(epochs.CRASH, over=epochs.mark())
    count(20, first=101)
    settled(of.name)
    assert by_key(topic_of(kafka_server, of.topic, 120)) == expected(120)


def test_without_transactions_a_killed_relay_repeats_under_the_same_ids(
    to_kafka, kafka_server, process
):
    """The control of the test above."""
    of = to_kafka(transactions=False)
    count(100)
    assert process(of, "die").wait(60) == -signal.SIGKILL
    end_lease(of.name)
    settled(of.name)
    messages = topic_of(kafka_server, of.topic, 200)
    assert len(messages) == 200
    assert len({dict(each.headers())["ce_id"] for each in messages}) == 100


def test_a_zombie_is_fenced(to_kafka, kafka_server, process):
    """Stopped after its commit at the broker, and continued when another has gone on."""
    of = to_kafka()
    count(100)
    zombie = process(of, "stop")
    until(lambda: psutil.Process(zombie.pid).status() == psutil.STATUS_STOPPED)
    end_lease(of.name)
    count(100, first=101)
    settled(of.name)
    zombie.send_signal(signal.SIGCONT)
    time.sleep(0.5)
    count(50, first=201)
    settled(of.name)
    assert by_key(topic_of(kafka_server, of.topic, 250)) == expected(250)


@only_long
def test_of_two_relays_at_once_one_works_at_a_time(to_kafka, kafka_server, process):
    of = to_kafka()
    both = [process(of), process(of)]
    for round_ in range(10):
        count(50, first=1 + 50 * round_)
        time.sleep(0.1)
    until(lambda: _at_end(of.name))
    assert all(each.poll() is None for each in both)
    assert by_key(topic_of(kafka_server, of.topic, 500)) == expected(500)


@only_long
def test_a_broker_that_stands_still_for_seconds_loses_nothing(to_kafka, kafka_server):
    of = to_kafka()
    count(10)
    settled(of.name)
    kafka_server.signal(signal.SIGSTOP)
    threading.Timer(5.0, kafka_server.signal, [signal.SIGCONT]).start()
    before = psutil.Process().memory_info().rss
    count(5_000, first=11)
    settled(of.name)
    assert psutil.Process().memory_info().rss - before < 200 << 20
    assert by_key(topic_of(kafka_server, of.topic, 5_010)) == expected(5_010)


def test_while_a_broker_is_away_other_subscriptions_go_on(to_kafka, monkeypatch):
    monkeypatch.setattr("eventstore.messaging.kafka.administration.METADATA_SECONDS", 1.0)
    of = to_kafka(client={"bootstrap.servers": "127.0.0.1:1"}, create=False)
    count(10)
    began = time.monotonic()
    until(lambda: delivered() and Subscription.objects.get(pk=f"{of.context}.published").position)
    assert time.monotonic() - began < 30
    assert Subscription.objects.get(pk=of.name).position == 0


def test_a_reset_publishes_again_under_the_same_ids(to_kafka, kafka_server):
    of = to_kafka()
    count(20)
    settled(of.name)
    Subscription.objects.filter(pk=of.name).update(position=0)
    settled(of.name)
    messages = topic_of(kafka_server, of.topic, 40)
    assert len(messages) == 40
    assert len({dict(each.headers())["ce_id"] for each in messages}) == 20


def test_what_cannot_be_translated_is_parked_and_its_key_waits(to_kafka, kafka_server):
    of = to_kafka()
    append("counter-a", [Counted("a", 1), Counted("a", 2, "untranslatable")], expected=ANY)
    append("counter-b", [Counted("b", 3)], expected=ANY)
    append("counter-a", [Counted("a", 4)], expected=ANY)
    settled(of.name)
    assert Parked.objects.filter(subscription=of.name).count() == 2
    assert by_key(topic_of(kafka_server, of.topic, 2)) == {"a": [1], "b": [3]}


def test_what_comes_in_the_batch_of_a_retry_follows_it(to_kafka, kafka_server, monkeypatch):
    """It waits behind the parked message when the batch is read, and no longer when it is
    settled."""
    is_broken = True

    def changed(event, history):
        if is_broken:
            raise ValueError("broken")
        return world.changed(event, history)

    broken = world.PUBLICATION._replace(publish={Counted: changed})
    monkeypatch.setattr(world, "PUBLICATION", broken)
    of = to_kafka()
    count(1, counters=1)
    settled(of.name)
    relay.this_process.stop()
    is_broken = False
    count(3, counters=1, first=2)
    (row,) = Parked.objects.filter(subscription=of.name)
    dead_letters.retry(of.name, [row.position], who="grace")
    settled(of.name)
    until(lambda: delivered() and not Parked.objects.filter(subscription=of.name).exists())
    assert by_key(topic_of(kafka_server, of.topic, 4)) == {"c0": [1, 2, 3, 4]}


def test_the_partition_is_the_one_that_javas_murmur2_chooses(to_kafka, kafka_server):
    of = to_kafka()
    keys = [f"key-{n}" for n in range(200)]
    for key in keys:
        append(f"counter-{key}", [Counted(key, 1)], expected=ANY)
    settled(of.name)
    found = {
        each.key().decode(): each.partition() for each in topic_of(kafka_server, of.topic, 200)
    }
    assert found == {key: _murmur2(key.encode()) % 6 for key in keys}


@only_long
def test_kafkas_own_console_consumer_reads_it(to_kafka, kafka_server):
    of = to_kafka()
    count(3)
    settled(of.name)
    line = devserver.watch(kafka_server.address, of.topic) + " --max-messages 3"
    shown = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=60)
    assert shown.stdout.count(f"ce_type:{of.type}") == 3, shown.stderr


def _limit(of, size):
    from confluent_kafka.admin import (
        AdminClient,
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        ResourceType,
    )

    entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, of.topic, incremental_configs=[entry])
    admin = AdminClient(of.options["client"])
    for future in admin.incremental_alter_configs([resource]).values():
        future.result()
    administration = brokers.administration("kafka")
    until(lambda: administration.limits([of.topic]) == {of.topic: size})


def _at_end(name):
    last = Event.objects.order_by("-position").first().position
    return Subscription.objects.get(pk=name).position >= last


def _murmur2(data):
    """As org.apache.kafka.common.utils.Utils.murmur2, made positive."""
    length, seed, m = len(data), 0x9747B28C, 0x5BD1E995
    h = (seed ^ length) & 0xFFFFFFFF
    for i in range(0, length - length % 4, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & 0xFFFFFFFF
        k = (k ^ k >> 24) * m & 0xFFFFFFFF
        h = (h * m & 0xFFFFFFFF) ^ k
    rest = data[length - length % 4 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & 0xFFFFFFFF
    h = (h ^ h >> 13) * m & 0xFFFFFFFF
    return (h ^ h >> 15) & 0x7FFFFFFF
