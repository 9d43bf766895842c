"""Create topics, rules and queues of AWS, and say which are missing or made otherwise."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from botocore.exceptions import ClientError

from eventstore.messaging.transport import BrokerState, Reading, TopicMissing

from . import clients
from .clients import Clients, Options, naming_problems, topic_of

# Of what a queue keeps until it is read: fourteen days, the most that SQS allows.
RETENTION_SECONDS = 14 * 24 * 3600
PREFIX = "events."

Relays = Mapping[str, Iterable[str]]


class Queues:
    """Of consumers and of their dead letters."""

    def __init__(self, made: Clients, *, fifo: bool) -> None:
        self.clients, self.fifo = made, fifo

    def missing(self, readings: Iterable[Reading]) -> list[str]:
        return [name for each in readings for name in self._names(each) if self.url(name) is None]

    def differing(self, readings: Iterable[Reading]) -> list[str]:
        """Those whose redrive policy is not ours, each with what it is."""
        found = []
        for each in readings:
            name, dead = self._names(each)
            if (url := self.url(name)) is not None:
                answer = self.clients.sqs.get_queue_attributes(
                    QueueUrl=url, AttributeNames=["RedrivePolicy"]
                )
                policy = answer.get("Attributes", {}).get("RedrivePolicy", "")
                if json.loads(policy or "{}") != self._redrive(dead):
                    found.append(f"{name}: its RedrivePolicy is {policy or 'missing'}")
        return found

    def create(self, reading: Reading, principal: str) -> str:
        """principal: of AWS, that may send to it. Returns its ARN."""
        name, dead = self._names(reading)
        plain = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
        if self.fifo:
            plain["FifoQueue"] = "true"
        options = self.clients.options
        own = plain | {"VisibilityTimeout": str(options.visibility_seconds)}
        sqs = self.clients.sqs
        if self.url(dead) is None:
            sqs.create_queue(QueueName=dead, Attributes=plain)
        if (url := self.url(name)) is None:
            url = sqs.create_queue(QueueName=name, Attributes=own)["QueueUrl"]
        arn = self.clients.arn("sqs", name)
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": principal},
            "Action": "sqs:SendMessage",
            "Resource": arn,
        }
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        more = {"RedrivePolicy": json.dumps(self._redrive(dead)), "Policy": json.dumps(policy)}
        sqs.set_queue_attributes(QueueUrl=url, Attributes=more)
        return arn

    def url(self, name: str) -> str | None:
        try:
            found: str = self.clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]
        except ClientError as error:
            if clients.code_of(error) not in clients.MISSING:
                raise
            return None
        return found

    def _names(self, reading: Reading) -> tuple[str, str]:
        return (
            clients.queue_name(reading.consumer, fifo=self.fifo),
            clients.dead_letter_queue(reading.consumer, fifo=self.fifo),
        )

    def _redrive(self, dead: str) -> dict[str, Any]:
        limit = self.clients.options.receive_limit
        return {"deadLetterTargetArn": self.clients.arn("sqs", dead), "maxReceiveCount": limit}


class Places(Protocol):
    """Where relays send to: the topics of SNS, or a bus of EventBridge."""

    def missing(self, relays: Relays, readings: Sequence[Reading]) -> list[str]: ...

    def create(self, relays: Relays, readings: Sequence[Reading], queues: Queues) -> None:
        """What is missing, with the queues of the readings, to which they deliver."""


class Administration:
    """Of the places that relays send to, and of the queues that consumers read."""

    def __init__(self, places: Places, queues: Queues) -> None:
        self.places, self.queues = places, queues

    def missing(self, relays: Relays, readings: Iterable[Reading] = ()) -> list[str]:
        """Topics or buses, and queues, that do not exist. Raises BrokerProblem."""
        readings = list(readings)
        with naming_problems():
            return [*self.places.missing(relays, readings), *self.queues.missing(readings)]

    def state(
        self, relays: Relays, readings: Sequence[Reading], read: Iterable[tuple[str, int]]
    ) -> BrokerState:
        """SQS does not say how many read a queue, so no queue is in it. Raises BrokerProblem."""
        missing = self.missing(relays, readings)
        with naming_problems():
            return BrokerState(missing=missing, differing=self.queues.differing(readings))

    def declared_otherwise(self, readings: Iterable[Reading]) -> list[str]:
        with naming_problems():
            return self.queues.differing(readings)

    def create(
        self, relays: Relays, readings: Iterable[Reading] = (), *, tap: bool = False
    ) -> list[str]:
        """Create what is missing; returns the names. tap: for other brokers. Raises
        BrokerProblem."""
        readings = list(readings)
        missing = self.missing(relays, readings)
        with naming_problems():
            self.places.create(relays, readings, self.queues)
        return missing


class Topics:
    """Of SNS."""

    def __init__(self, made: Clients) -> None:
        self.clients = made

    def missing(self, relays: Relays, readings: Sequence[Reading]) -> list[str]:
        return [topic for topic in _topics(relays, readings) if not self._exists(topic)]

    def create(self, relays: Relays, readings: Sequence[Reading], queues: Queues) -> None:
        sns, fifo = self.clients.sns, self.clients.options.fifo
        attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "false"} if fifo else {}
        for topic in _topics(relays, readings):
            if not self._exists(topic):
                name = clients.topic_name(topic, fifo=fifo)
                sns.create_topic(Name=name, Attributes=attributes)
        raw = {"RawMessageDelivery": "true"}
        for reading in readings:
            queue = queues.create(reading, "sns.amazonaws.com")
            for topic in reading.topics:
                arn = self.clients.topic_arn(topic)
                # Repeated, it is the same subscription.
                sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue, Attributes=raw)

    def _exists(self, topic: str) -> bool:
        with suppress(TopicMissing), naming_problems():
            self.clients.sns.get_topic_attributes(TopicArn=self.clients.topic_arn(topic))
            return True
        return False


class Bus:
    """Of EventBridge, with a rule for each consumer."""

    def __init__(self, made: Clients) -> None:
        self.clients = made

    def missing(self, relays: Relays, readings: Sequence[Reading]) -> list[str]:
        return [] if self._exists() else [self.clients.options.bus]

    def create(self, relays: Relays, readings: Sequence[Reading], queues: Queues) -> None:
        events, bus = self.clients.events, self.clients.options.bus
        if not self._exists():
            events.create_event_bus(Name=bus)
        for reading in readings:
            queue = queues.create(reading, "events.amazonaws.com")
            rule = clients.queue_name(reading.consumer, fifo=False)
            prefixes = [f"{topic.removeprefix(PREFIX)}." for topic in reading.topics]
            pattern = {"detail-type": [{"prefix": each} for each in prefixes]}
            events.put_rule(Name=rule, EventBusName=bus, EventPattern=json.dumps(pattern))
            events.put_targets(Rule=rule, EventBusName=bus, Targets=[{"Id": "queue", "Arn": queue}])

    def _exists(self) -> bool:
        with suppress(TopicMissing), naming_problems():
            self.clients.events.describe_event_bus(Name=self.clients.options.bus)
            return True
        return False


def of_sns(options: Options) -> Administration:
    made = Clients(options)
    return Administration(Topics(made), Queues(made, fifo=options.fifo))


def of_eventbridge(options: Options) -> Administration:
    made = Clients(options)
    return Administration(Bus(made), Queues(made, fifo=False))


def _topics(relays: Relays, readings: Iterable[Reading]) -> list[str]:
    published = {topic_of(type_) for types in relays.values() for type_ in types}
    return sorted(published.union(*(reading.topics for reading in readings)))
