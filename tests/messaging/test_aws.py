"""SNS, SQS and EventBridge, at moto's server, by the real client."""

import json
import threading
import time
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from eventstore.delivery import readers
from eventstore.log import ANY, append
from eventstore.messages import BrokerMessage
from eventstore.messaging.consumers import incoming, intake
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.transport import (
    Batch,
    BrokerUnreachable,
    Outgoing,
    TooLarge,
)
from eventstore.models import Parked, RelayLease, Subscription
from tests.conftest import NO_BROKER
from tests.eventstore.toy import Counted

from . import aws_server as aws
from .conftest import count, delivered, expected, settled, until
from .world import CounterChanged

if absent := aws.missing():
    pytest.skip(f"{NO_BROKER}aws needs {absent}, which is missing", allow_module_level=True)

from eventstore.messaging import brokers  # noqa: E402
from eventstore.messaging.aws import clients, requests, sns, sqs  # noqa: E402
from eventstore.messaging.aws.clients import MOST_BYTES, Clients, Options  # noqa: E402
from eventstore.messaging.aws.requests import Entry, Failed, Pending  # noqa: E402

REGION = "eu-central-1"
KINDS = {"sns": aws.SNS, "eventbridge": aws.EVENTBRIDGE}


def entry(key, *, size=100, topic="t"):
    return Entry(topic, key, size, {})


def batch_of(*entries, seconds=20.0):
    messages = [Outgoing(n, [each]) for n, each in enumerate(entries, start=1)]
    return Batch("toy@sns", 1, 1, 0, time.monotonic() + seconds, messages)


class Server:
    """Takes what it is not told to fail. failures: position in the order of arrival -> failure."""

    def __init__(self, *failures):
        self.failures = list(failures)
        self.taken, self.requests = [], []

    def __call__(self, entries):
        self.requests.append(list(entries))
        failed = self.failures.pop(0) if self.failures else {}
        self.taken += [each for n, each in enumerate(entries) if n not in failed]
        return failed


def sent(batch, server):
    return requests.send(batch, server, lambda: None)


class TestRequests:
    def test_ten_at_most_and_256_kilobytes_at_most(self):
        server = Server()
        large = [entry(f"l{n}", size=100 << 10) for n in range(3)]
        done = sent(batch_of(*(entry(f"k{n}") for n in range(12)), *large), server)
        assert done.acknowledged == frozenset(range(1, 16))
        assert [len(each) for each in server.requests] == [10, 4, 1]
        assert all(sum(e.size for e in each) <= MOST_BYTES for each in server.requests)

    def test_one_of_each_key_in_a_request_so_that_a_failure_keeps_the_order(self):
        server = Server({0: Failed("throttled", is_refused=False)})
        entries = [entry("a"), entry("a", size=101), entry("b"), entry("a", size=102)]
        done = sent(batch_of(*entries), server)
        assert done.acknowledged == {1, 2, 3, 4}
        assert [each.size for each in server.taken if each.key == "a"] == [100, 101, 102]

    def test_all_of_a_batch_in_one_request_would_not_keep_it(self):
        """The control: the second of the key is taken while the first fails."""
        server = Server({0: Failed("throttled", is_refused=False)})
        entries = [entry("a"), entry("a", size=101)]
        failed = server(entries)
        server([entries[n] for n in failed])
        assert [each.size for each in server.taken] == [101, 100]

    def test_what_is_refused_is_named_and_later_ones_of_its_key_are_not_sent(self):
        server = Server({0: Failed("InvalidParameter: no", is_refused=True)})
        done = sent(batch_of(entry("a"), entry("b"), entry("a", size=101)), server)
        assert done.acknowledged == {2}
        assert [(at, str(why)) for at, why in done.refused.items()] == [(1, "InvalidParameter: no")]
        assert [each.key for each in server.taken] == ["b"]

    def test_what_is_never_taken_is_a_problem_at_the_deadline(self):
        always = [{0: Failed("InternalFailure: again", is_refused=False)}] * 1000
        done = sent(batch_of(entry("a"), entry("b"), seconds=0.2), Server(*always))
        assert isinstance(done.problem, BrokerUnreachable)
        assert "InternalFailure" in str(done.problem)
        assert done.acknowledged == {2}

    def test_what_was_taken_before_a_lost_connection_is_acknowledged(self):
        taken = []

        def request(entries):
            if taken:
                raise OSError("reset by peer")
            taken.extend(entries)
            return {}

        done = sent(batch_of(*(entry(f"k{n}") for n in range(12))), request)
        assert done.acknowledged == frozenset(range(1, 11))
        assert isinstance(done.problem, BrokerUnreachable)

    def test_one_topic_in_a_request(self):
        pending = [Pending(1, entry("a")), Pending(2, entry("b", topic="u"))]
        chosen, others = requests.next_request(pending)
        assert [each.position for each in chosen] == [1]
        assert [each.position for each in others] == [2]


class TestNames:
    def test_topics_and_queues_have_no_dots(self):
        assert clients.topic_name("events.orders", fifo=True) == "events-orders.fifo"
        assert clients.queue_name("orders.loyalty@sns", fifo=False) == "orders-loyalty-sns"
        assert clients.dead_letter_queue("a.b", fifo=True) == "a-b-dlq.fifo"

    def test_a_group_that_sns_does_not_take_is_a_digest(self):
        assert sns.group_of("0198b1c2-0000") == "0198b1c2-0000"
        assert len(sns.group_of("ä" * 10)) == len(sns.group_of("x" * 129)) == 64


class TestReceived:
    """A message as SQS has it, whatever is around it."""

    EVENT = {"specversion": "1.0", "id": "1", "type": "toy.changed", "data": {"a": 1}}

    def read(self, body, attributes=None):
        found = sqs.received("sns", {"Body": body, "MessageAttributes": attributes or {}})
        return incoming.attributes_of(found).get("type"), incoming.data_of(found)

    def test_raw_from_sns(self):
        attributes = {
            "content-type": {"StringValue": "application/cloudevents+json", "DataType": "String"}
        }
        assert self.read(json.dumps(self.EVENT), attributes) == ("toy.changed", {"a": 1})

    def test_in_the_envelope_of_sns(self):
        body = {
            "Type": "Notification",
            "Message": json.dumps(self.EVENT),
            "MessageAttributes": {
                "content-type": {"Type": "String", "Value": "application/cloudevents+json"}
            },
        }
        assert self.read(json.dumps(body)) == ("toy.changed", {"a": 1})

    def test_in_the_envelope_of_eventbridge(self):
        body = {"detail-type": "toy.changed", "detail": self.EVENT}
        assert self.read(json.dumps(body)) == ("toy.changed", {"a": 1})

    @pytest.mark.parametrize("body", ["", "{", "null", "[1]", "text", '{"detail-type": 1}'])
    def test_what_is_neither_is_kept_as_it_is(self, body):
        found = sqs.received("sns", {"Body": body})
        assert isinstance(found, BrokerMessage)
        assert found.value == body.encode()


@pytest.mark.django_db(transaction=True)
class TestAtTheServer:
    @pytest.fixture(params=["sns", "eventbridge"])
    def broker(self, request):
        return request.param

    @pytest.fixture
    def of(self, broker, consumers):
        return consumers(broker)

    def test_events_of_a_relay_have_their_effect_once_and_in_order(self, of, reading):
        count(60)
        settled(of.name)
        reading(of)
        until(lambda: delivered() and len(counted(of)) == 60)
        found = {}
        for event in counted(of):
            found.setdefault(event.counter_id.removeprefix(f"{of.context}-"), []).append(
                event.amount
            )
        assert found == expected(60)

    def test_a_group_is_the_aggregate_and_the_deduplication_id_the_events(
        self, consumers, aws_server
    ):
        of = consumers("sns")
        count(3)
        settled(of.name)
        client = Clients(Options(REGION, aws_server.address)).sqs
        url = client.get_queue_url(QueueName=clients.queue_name(of.consumer, fifo=True))["QueueUrl"]
        found = client.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=10,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )["Messages"]
        for each in found:
            event = json.loads(each["Body"])
            assert each["Attributes"]["MessageGroupId"] == event["subject"] == event["partitionkey"]
            assert each["Attributes"]["MessageDeduplicationId"] == event["id"]
            assert each["MessageAttributes"]["event-id"]["StringValue"] == event["id"]

    def test_an_oversized_message_is_parked_alone_with_the_limits_name(self, of):
        append("counter-a", [Counted("a", 1), Counted("a", 2, "x" * (256 << 10))], expected=ANY)
        append("counter-b", [Counted("b", 3)], expected=ANY)
        settled(of.name)
        dead = Parked.objects.get(subscription=of.name, status="dead")
        assert "256 KB" in dead.error
        assert dead.error.startswith("TooLarge")

    def test_a_message_of_exactly_the_limit_is_taken(self, broker, consumers, aws_server):
        of = consumers(broker)
        transport = brokers.transport(broker, of.name)
        note = "x" * (MOST_BYTES - transport.prepare(envelope(of)).size)
        prepared = transport.prepare(envelope(of, note))
        assert prepared.size == MOST_BYTES
        done = transport.send(batch_of(prepared), lambda: None)
        assert done.acknowledged == {1}
        with pytest.raises(TooLarge):
            transport.prepare(envelope(of, note + "x"))

    def test_a_missing_topic_is_named_and_nothing_is_passed(self, broker, consumers_by, aws_server):
        options = {"TRANSPORT": KINDS[broker], "region": REGION, "endpoint": aws_server.address}
        more = {"bus": "not-there"} if broker == "eventbridge" else {}
        of = consumers_by(broker, options | more, create=False)
        count(5)
        until(
            lambda: delivered() and RelayLease.objects.filter(pk=of.name).exclude(error="").exists()
        )
        error = RelayLease.objects.get(pk=of.name).error
        assert "TopicMissing" in error
        assert "manage.py brokers --create" in error
        assert Subscription.objects.get(pk=of.name).position == 0

    def test_an_unreachable_server_is_a_problem_and_not_a_loss(self, broker, consumers_by):
        options = {"TRANSPORT": KINDS[broker], "region": REGION, "endpoint": "http://127.0.0.1:1"}
        of = consumers_by(broker, options, create=False)
        transport = brokers.transport(broker, of.name)
        done = transport.send(batch_of(transport.prepare(envelope(of))), lambda: None)
        assert isinstance(done.problem, BrokerUnreachable)
        assert not done.acknowledged

    def test_without_credentials_it_says_so(self, broker, of, monkeypatch, tmp_path):
        for name in aws.CREDENTIALS:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        transport = brokers.transport(broker, of.name)
        done = transport.send(batch_of(transport.prepare(envelope(of))), lambda: None)
        assert "NoCredentialsError" in str(done.problem)

    def test_what_is_missing_and_what_differs(self, broker, of, aws_server):
        administration = brokers.administration(broker)
        relays = {of.name: [of.type]}
        readings = brokers.readings(broker)
        assert administration.missing(relays, readings) == []
        assert administration.declared_otherwise(readings) == []
        client = Clients(Options(REGION, aws_server.address)).sqs
        name = clients.queue_name(of.consumer, fifo=broker == "sns")
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
        client.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
        assert name in administration.state(relays, readings, []).differing[0]
        client.delete_queue(QueueUrl=url)
        assert administration.missing(relays, readings) == [name]

    def test_a_dead_letter_is_copied_to_its_queue(self, broker, consumers, reading, aws_server):
        def fail(envelope):
            raise ValueError("no such customer")

        of = consumers(broker, {"*": fail})
        append("counter-a", [Counted("a", 1)], expected=ANY)
        settled(of.name)
        reading(of)
        until(lambda: delivered() and Parked.objects.filter(subscription=of.consumer).exists())
        Parked.objects.filter(subscription=of.consumer).update(status="dead", attempts=12)
        client = Clients(Options(REGION, aws_server.address)).sqs
        name = clients.dead_letter_queue(of.consumer, fifo=broker == "sns")
        url = client.get_queue_url(QueueName=name)["QueueUrl"]

        def copied():
            return client.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get(
                "Messages"
            )

        (letter,) = until(copied)
        attributes = {
            name: each["StringValue"] for name, each in letter["MessageAttributes"].items()
        }
        assert attributes["dlq-consumer"] == of.consumer
        assert "no such customer" in attributes["dlq-reason"]
        assert json.loads(letter["Body"])["data"]["amount"] == 1

    def test_while_a_message_is_stored_no_other_reader_gets_it(
        self, broker, consumers, monkeypatch, aws_server
    ):
        """Storing takes longer than the message is hidden; the time is extended."""
        of = consumers(broker, visibility_seconds=6)
        append("counter-a", [Counted("a", 1)], expected=ANY)
        settled(of.name)
        gate, began = threading.Event(), threading.Event()
        store = intake.store_from_queue

        def slowly(*args):
            began.set()
            assert gate.wait(60)
            return store(*args)

        monkeypatch.setattr(intake, "store_from_queue", slowly)
        (reader,) = readers.readers([of.consumer])
        reader.start()
        try:
            until(began.is_set)
            client = Clients(Options(REGION, aws_server.address)).sqs
            name = clients.queue_name(of.consumer, fifo=broker == "sns")
            url = client.get_queue_url(QueueName=name)["QueueUrl"]
            for _ in range(9):
                found = client.receive_message(QueueUrl=url, WaitTimeSeconds=1)
                assert not found.get("Messages")
            gate.set()
            until(lambda: delivered() and counted(of))
        finally:
            gate.set()
            reader.stop()
            reader.join()
        assert len(counted(of)) == 1

    def test_without_extending_another_reader_would_get_it(self, consumers, aws_server):
        """The control."""
        of = consumers("sns", visibility_seconds=1)
        append("counter-a", [Counted("a", 1)], expected=ANY)
        settled(of.name)
        client = Clients(Options(REGION, aws_server.address)).sqs
        url = client.get_queue_url(QueueName=clients.queue_name(of.consumer, fifo=True))["QueueUrl"]
        assert client.receive_message(QueueUrl=url, VisibilityTimeout=1)["Messages"]
        until(lambda: client.receive_message(QueueUrl=url, WaitTimeSeconds=1).get("Messages"))

    def test_what_cannot_be_stored_is_a_dead_letter_after_so_many_attempts(
        self, broker, consumers, monkeypatch, aws_server
    ):
        of = consumers(broker, visibility_seconds=1, receive_limit=2)
        append("counter-a", [Counted("a", 1)], expected=ANY)
        settled(of.name)

        def fail(*args):
            raise ValueError("cannot be stored")

        monkeypatch.setattr(intake, "store_from_queue", fail)
        (reader,) = readers.readers([of.consumer])
        reader.start()
        client = Clients(Options(REGION, aws_server.address)).sqs
        name = clients.dead_letter_queue(of.consumer, fifo=broker == "sns")
        url = client.get_queue_url(QueueName=name)["QueueUrl"]
        try:
            until(lambda: client.receive_message(QueueUrl=url).get("Messages"))
        finally:
            reader.stop()
            reader.join()


def counted(of):
    """What the consumer has counted once more."""
    from eventstore import log

    return [
        message.body
        for message in log.read_log(types=["toy.counted"])
        if message.body.counter_id.startswith(of.context)
    ]


def envelope(of, note=""):
    nil = UUID(int=1)
    return Envelope(
        id=uuid4(),
        type=of.type,
        subject="counter-a",
        position=1,
        time=datetime(2026, 1, 1, tzinfo=UTC),
        correlation_id=nil,
        causation_id=nil,
        event=CounterChanged("a", 1, note),
    )
