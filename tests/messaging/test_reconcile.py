"""manage.py reconcile_broker against a real Kafka and a real RabbitMQ: each fault is found, and
nothing without one."""

import json
import time
from contextlib import closing
from io import StringIO
from uuid import uuid4

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from django.core.management import CommandError, call_command

from eventstore.log import ANY, append
from eventstore.messaging import brokers, relay
from eventstore.messaging.publisher import Translator
from eventstore.messaging.reconcile import log_side
from eventstore.messaging.reconcile.rabbitmq import tap_of
from eventstore.models import OperatorAction, Parked, RelayLease, Subscription
from eventstore.operations import control
from eventstore.outbox import cursors
from tests.eventstore.toy import Counted

from . import world
from .conftest import connection_to, count, delivered, settled, topic_of, until

pytestmark = [pytest.mark.django_db(transaction=True)]


def reconciled(name, *options):
    """What the command writes with --json, and its exit code."""
    out, code = StringIO(), 0
    try:
        call_command("reconcile_broker", name, "--json", *options, stdout=out)
    except SystemExit as end:
        code = end.code
    return json.loads(out.getvalue()), code


def counts(report):
    return {kind: number for kind, number in report["counts"].items() if number}


def of_the_log(of):
    """What the relay would publish: position -> message, as its transport prepares it."""
    translator, found = Translator(world.PUBLICATION), {}
    last = Subscription.objects.get(pk=of.context + ".published").position
    messages = cursors.read_from_log(of.name, after=0, until=last, limit=100_000)
    translator.begin(messages)
    with closing(brokers.transport(of.broker, of.name)) as transport:
        for message in messages:
            (envelope,) = translator.envelopes(message)
            found[message.position] = transport.prepare(envelope)
    return found


def produced(of, messages):
    """As a relay does that has come to the end, by a producer without transactions."""
    producer = Producer({**of.options["client"], "partitioner": "murmur2_random"})
    for each in messages:
        producer.produce(each.topic, each.value, each.key, headers=each.headers)
        producer.poll(0)
    assert producer.flush(60) == 0


def at_the_end(of, *, number):
    """A log with events that its relay has passed without publishing them."""
    control.pause(of.name, who="test")
    count(number)
    until(lambda: delivered() and Subscription.objects.get(pk=f"{of.context}.published").position)
    last = Subscription.objects.get(pk=f"{of.context}.published").position
    Subscription.objects.filter(pk=of.name).update(position=last)


def test_what_the_relay_has_published_agrees(to_kafka):
    of = to_kafka()
    count(3000)
    settled(of.name)
    report, code = reconciled(of.name)
    assert (code, report["agrees"], report["expected"], report["found"]) == (0, True, 3000, 3000)
    assert reconciled(f"{of.context}.published")[1] == 0


def test_each_fault_in_a_topic_is_found(to_kafka, monkeypatch):
    """The log is read by two processes, as a long one is."""
    monkeypatch.setattr(log_side, "LEAST_POSITIONS", 1000)
    of = to_kafka()
    at_the_end(of, number=4000)
    log = of_the_log(of)
    positions = list(log)
    of_one_key = [at for at, each in log.items() if each.key == log[positions[100]].key]
    deleted, altered, repeated = positions[200], positions[300], positions[400]
    first, second = of_one_key[50:52]
    sent = dict(log)
    sent[first], sent[second] = log[second], log[first]
    sent[altered] = log[altered]._replace(value=log[altered].value + b" ")
    del sent[deleted]
    foreign = log[positions[0]]
    headers = {**foreign.headers, "ce_id": str(uuid4()), "event-id": str(uuid4())}
    produced(of, [*sent.values(), log[repeated], foreign._replace(headers=headers)])
    report, code = reconciled(of.name)
    assert code == 1
    assert counts(report) == dict.fromkeys(
        ("missing", "repeated", "out of order", "altered", "foreign"), 1
    )
    found = {each["kind"]: each["position"] for each in report["examples"]}
    assert found == {
        "missing": deleted,
        "repeated": repeated,
        "altered": altered,
        "out of order": second,
        "foreign": None,
    }
    assert all(each["type"] == "toy.counted" for each in report["examples"] if each["position"])


def test_headers_that_others_add_are_no_difference_and_changed_ones_are(to_kafka):
    of = to_kafka()
    at_the_end(of, number=10)
    first, second, *others = of_the_log(of).values()
    first = first._replace(headers={**first.headers, "proxy": "a"})
    second = second._replace(headers={**second.headers, "ce_kind": "notification"})
    produced(of, [first, second, *others])
    assert counts(reconciled(of.name)[0]) == {"altered": 1}


def test_newer_messages_and_aborted_ones_are_no_difference(to_kafka):
    of = to_kafka()
    count(100)
    settled(of.name)
    middle = Subscription.objects.get(pk=of.name).position
    count(100, first=101)
    settled(of.name)
    with closing(brokers.transport(of.broker, of.name)) as transport:
        message = next(iter(of_the_log(of).values()))
        relay.this_process.stop()
        client = transport._client()
        client.init_transactions(30)
        client.begin_transaction()
        client.produce(message.topic, message.value, message.key, headers=message.headers)
        client.flush(30)
        client.abort_transaction(30)
    assert reconciled(of.name)[1] == 0
    Subscription.objects.filter(pk=of.name).update(position=middle)
    report, code = reconciled(of.name)
    assert (code, report["newer"], report["expected"]) == (0, 100, 100)
    report, code = reconciled(of.name, "--from", "51", "--to", "80")
    assert (code, report["expected"], report["earlier"]) == (0, 30, 50)


def test_what_retention_has_deleted_is_named_as_a_hole(to_kafka):
    of = to_kafka()
    count(600)
    settled(of.name)
    messages = topic_of_all(of)
    partition = messages[0].partition()
    of_partition = [each for each in messages if each.partition() == partition]
    kept = of_partition[len(of_partition) // 2]
    admin = AdminClient(of.options["client"])
    place = TopicPartition(of.topic, partition, kept.offset())
    for future in admin.delete_records([place]).values():
        future.result()
    report, code = reconciled(of.name)
    assert (code, counts(report)) == (0, {})
    (hole,) = report["holes"]
    assert (hole["partition"], hole["reason"]) == (partition, "retention")
    assert hole["messages"] == len(of_partition) // 2


def topic_of_all(of):
    class Server:
        address = of.options["client"]["bootstrap.servers"]

    return topic_of(Server, of.topic, 600)


def test_a_parked_message_is_named_and_is_not_refilled(to_kafka):
    of = to_kafka(max_message_bytes=20_000)
    append("counter-a", [Counted("a", 1, "x" * 30_000), Counted("a", 2)], expected=ANY)
    append("counter-b", [Counted("b", 3)], expected=ANY)
    settled(of.name)
    assert Parked.objects.filter(subscription=of.name).count() == 2
    report, code = reconciled(of.name)
    assert (code, counts(report)) == (1, {"parked": 2})
    report, code = reconciled(of.name, "--refill", "--reason", "try")
    assert (code, report["refilled"]["published"]) == (1, 0)


@pytest.mark.parametrize("transactions", [True, False])
def test_what_is_missing_is_published_under_the_same_ids(to_kafka, kafka_server, transactions):
    of = to_kafka(transactions=transactions)
    at_the_end(of, number=50)
    messages = list(of_the_log(of).values())
    produced(of, [*messages[:10], *messages[13:]])
    assert counts(reconciled(of.name)[0]) == {"missing": 3}
    report, code = reconciled(of.name, "--refill", "--reason", "lost with a disk")
    assert (code, report["refilled"]["published"]) == (0, 3)
    after = reconciled(of.name)[0]
    assert "missing" not in counts(after)
    assert "repeated" not in counts(after)
    ids = [dict(each.headers())["ce_id"] for each in topic_of(kafka_server, of.topic, 50)]
    assert len(set(ids)) == len(ids) == 50
    action = OperatorAction.objects.get(action="refill")
    assert (action.subject, action.reason) == (of.name, "lost with a disk")
    assert action.details["messages"] == 3
    # And the relay goes on where it was.
    control.resume(of.name, who="test")
    count(10, first=51)
    settled(of.name)
    assert "missing" not in counts(reconciled(of.name)[0])
    assert len(topic_of(kafka_server, of.topic, 60)) == 60


def test_a_refill_waits_for_a_relay_that_publishes_and_gives_up_with_a_sentence(
    to_kafka, process, monkeypatch
):
    monkeypatch.setattr("eventstore.messaging.reconcile.filling.LEASE_WAIT_SECONDS", 1.0)
    of = to_kafka()
    at_the_end(of, number=20)
    produced(of, list(of_the_log(of).values())[1:])
    RelayLease.objects.filter(pk=of.name).delete()
    RelayLease.objects.create(
        pk=of.name, token=1, settled=1, holder="another", until="2999-01-01T00:00:00Z"
    )
    with pytest.raises(CommandError, match="is busy: manage.py subscriptions pause") as refused:
        reconciled(of.name, "--refill", "--reason", "x")
    assert refused.value.returncode == 2
    assert not OperatorAction.objects.filter(action="refill").exists()


def test_a_batch_that_may_be_published_already_is_not_hidden_by_a_refill(to_kafka):
    of = to_kafka()
    at_the_end(of, number=20)
    produced(of, list(of_the_log(of).values())[1:])
    RelayLease.objects.filter(pk=of.name).delete()
    RelayLease.objects.create(
        pk=of.name, token=5, settled=4, holder="another", until="2020-01-01T00:00:00Z"
    )
    with pytest.raises(CommandError, match="is not settled"):
        reconciled(of.name, "--refill", "--reason", "x")


def test_what_has_come_by_itself_is_not_published_again(to_kafka, kafka_server, monkeypatch):
    """Between the comparison and the lease."""
    from eventstore.messaging.reconcile.filling import Filling

    of = to_kafka()
    at_the_end(of, number=20)
    messages = list(of_the_log(of).values())
    produced(of, messages[2:])
    take = Filling.take

    def late(self, until):
        produced(of, messages[:1])
        take(self, until)

    monkeypatch.setattr(Filling, "take", late)
    report, code = reconciled(of.name, "--refill", "--reason", "x")
    assert code == 0
    assert (report["refilled"]["published"], report["refilled"]["arrived"]) == (1, 1)
    assert len(topic_of(kafka_server, of.topic, 20)) == 20


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["no.such"], "is not a relay"),
        (["{name}", "--refill"], "A reason is required"),
        (["{name}", "--tap"], "it needs no tap"),
        (["{name}", "--queue", "x"], "has no queues"),
        (["{name}"], "has published nothing"),
        (["{name}", "--from", "-1"], "expected a position"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_sentence(to_kafka, arguments, sentence):
    of = to_kafka()
    with pytest.raises(CommandError, match=sentence):
        call_command("reconcile_broker", *(each.format(name=of.name) for each in arguments))


def test_a_missing_topic_and_an_unreachable_broker_are_refusals(to_kafka, monkeypatch):
    monkeypatch.setattr("eventstore.messaging.reconcile.kafka.METADATA_SECONDS", 1.0)
    of = to_kafka(create=False)
    at_the_end(of, number=5)
    with pytest.raises(CommandError, match="TopicMissing: no topic"):
        reconciled(of.name)


class TestRabbitMQ:
    def test_a_missing_tap_is_declared_by_this_command_and_another_queue_by_nobody(
        self, to_rabbitmq
    ):
        of = to_rabbitmq()
        at_the_end(of, number=5)
        with pytest.raises(CommandError, match=f"declare it: .*reconcile_broker {of.name} --tap"):
            reconciled(of.name)
        with pytest.raises(CommandError, match="no queue 'nothing'") as refusal:
            reconciled(of.name, "--queue", "nothing")
        assert "declare it" not in str(refusal.value)

    def test_a_tap_agrees_and_shows_each_fault(self, to_rabbitmq, rabbitmq_server):
        of = to_rabbitmq()
        call_command("reconcile_broker", of.name, "--tap", stdout=StringIO())
        count(500)
        settled(of.name)
        report, code = reconciled(of.name)
        assert (code, report["expected"], report["found"]) == (0, 500, 500)
        assert reconciled(of.name)[1] == 0, "reading removes nothing"
        control.pause(of.name, who="test")
        count(3, first=501)
        self._skip_one(of)
        control.resume(of.name, who="test")
        settled(of.name)
        with connection_to(rabbitmq_server) as connection:
            channel = connection.channel()
            channel.queue_declare("one", exclusive=True)
            channel.queue_bind("one", "domain-events", f"events.{of.type}")
            count(1, first=504)
            settled(of.name)
            message = until(lambda: channel.basic_get("one", no_ack=True))
            self._publish(channel, of, message)
            message.properties["message_id"] = str(uuid4())
            self._publish(channel, of, message)
            message.properties["application_headers"] = {}
            self._publish(channel, of, message)
        report, code = reconciled(of.name)
        assert code == 1
        assert counts(report) == {"missing": 1, "repeated": 1, "foreign": 2}
        relay.this_process.stop()
        report, code = reconciled(of.name, "--refill", "--reason", "skipped by mistake")
        assert report["refilled"]["published"] == 1
        assert "missing" not in counts(reconciled(of.name)[0])

    def _skip_one(self, of):
        relay.this_process.stop()
        until(lambda: delivered() and cursors.following(of.name))
        control.skip(of.name, cursors.following(of.name).position, who="test", reason="x")

    def _publish(self, channel, of, message):
        channel.basic_publish(message, "domain-events", f"events.{of.type}")

    def test_a_queue_of_others_is_read_and_keeps_all(self, to_rabbitmq, rabbitmq_server):
        of = to_rabbitmq()
        with connection_to(rabbitmq_server) as connection:
            channel = connection.channel()
            channel.queue_declare(tap_of(of.name) + ".plain", durable=True, auto_delete=False)
            channel.queue_bind(tap_of(of.name) + ".plain", "domain-events", "events.#")
            count(50)
            settled(of.name)
            channel.basic_publish(connection_message(), "domain-events", "events.other.happened")
        for _ in range(2):
            report, code = reconciled(of.name, "--queue", tap_of(of.name) + ".plain")
            assert (code, report["found"], report["others"]) == (0, 50, 1)

    def test_what_was_published_before_the_tap_is_a_hole_unless_it_is_asked_for(self, to_rabbitmq):
        of = to_rabbitmq()
        call_command("brokers", "--create", "--tap", stdout=StringIO())
        count(20)
        settled(of.name)
        call_command("reconcile_broker", of.name, "--tap", stdout=StringIO())
        with pytest.raises(CommandError, match="holds no message"):
            reconciled(of.name)
        count(5, first=21)
        settled(of.name)
        report, code = reconciled(of.name)
        assert (code, report["holes"][0]["messages"]) == (0, 20)
        report, code = reconciled(of.name, "--from", "1")
        assert (code, counts(report)) == (1, {"missing": 20})

    def test_a_queue_that_is_read_by_others_or_is_not_there_is_refused(
        self, to_rabbitmq, rabbitmq_server
    ):
        of = to_rabbitmq()
        call_command("brokers", "--create", "--tap", stdout=StringIO())
        count(5)
        settled(of.name)
        with pytest.raises(CommandError, match="TopicMissing"):
            reconciled(of.name)
        with connection_to(rabbitmq_server) as connection:
            channel = connection.channel()
            channel.basic_consume("domain-events.tap", callback=lambda message: None)
            until(lambda: channel.queue_declare("domain-events.tap", passive=True).consumer_count)
            with pytest.raises(CommandError, match="has 1 readers"):
                reconciled(of.name, "--queue", "domain-events.tap")


def connection_message():
    import amqp

    return amqp.Message("{}", application_headers={"ce-id": str(uuid4()), "at": str(time.time())})
