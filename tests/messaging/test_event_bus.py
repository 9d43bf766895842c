"""publish, subscribe, unsubscribe mean the same in this process, over Kafka, over RabbitMQ, and
over SNS and EventBridge with SQS."""

from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.db import transaction

from eventstore.delivery import readers
from eventstore.messaging.consumers.bus import BrokerBus, InTransaction
from eventstore.messaging.event_bus import Envelope, InProcessBus
from eventstore.models import OperatorAction
from tests.eventstore.toy import Boom

from .conftest import delivered, until
from .world import CounterChanged

pytestmark = pytest.mark.django_db(transaction=True)
BROKERS = ["kafka", "rabbitmq", "sns", "eventbridge"]
TRANSPORTS = ["in-process", *BROKERS]


class Running:
    """A bus, and the type of what is published on it. arrived: what a handler that is subscribed by
    `subscribe` has received."""

    def __init__(self, bus, type_, context):
        self.bus, self.type, self.context = bus, type_, context
        self.number = 0

    def envelope(self, key="c1", amount=1):
        self.number += 1
        return Envelope(
            id=uuid4(),
            type=self.type,
            subject=f"counter-{key}",
            position=self.number,
            time=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC),
            correlation_id=uuid4(),
            causation_id=uuid4(),
            event=CounterChanged(key, amount),
            trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )

    def publish(self, *envelopes):
        self.bus.publish(envelopes)


@pytest.fixture(params=TRANSPORTS)
def running(request, toys):
    if request.param == "in-process":
        yield Running(InProcessBus(), "toy.counter_changed", "toy")
        return
    of = request.getfixturevalue("consumers")(request.param, {"nothing": lambda envelope: None})
    bus = BrokerBus(request.param, of.consumer)
    (reader,) = readers.readers([of.consumer])
    reader.start()
    yield Running(bus, of.type, of.context)
    bus.close()
    reader.stop()
    reader.join()


def eventually(condition):
    until(lambda: delivered() and condition())


def test_a_subscriber_receives_what_is_published_as_it_was(running):
    received = []
    running.bus.subscribe(running.type, received.append)
    sent = running.envelope()
    running.publish(sent)
    eventually(lambda: received)
    assert received == [sent]


def test_order_is_kept_for_each_subject(running):
    received = []
    running.bus.subscribe(f"{running.context}.*", received.append)
    sent = [running.envelope(f"c{n % 3}", n) for n in range(60)]
    running.publish(*sent[:30])
    running.publish(*sent[30:])
    eventually(lambda: len(received) == 60)
    for key in ("c0", "c1", "c2"):
        expected = [each.event.amount for each in sent if each.event.counter_id == key]
        assert [e.event.amount for e in received if e.event.counter_id == key] == expected


def test_a_pattern_selects_types(running):
    received, others = [], []
    running.bus.subscribe("other.*", others.append)
    running.bus.subscribe("*.counter_changed", received.append)
    running.publish(running.envelope())
    eventually(lambda: received)
    assert others == []


def test_all_subscribers_receive_and_the_same_one_only_once(running):
    first, second = [], []
    running.bus.subscribe(running.type, first.append)
    running.bus.subscribe(running.type, first.append)
    running.bus.subscribe(running.type, second.append)
    running.publish(running.envelope())
    eventually(lambda: first and second)
    assert (len(first), len(second)) == (1, 1)


def test_who_has_unsubscribed_receives_nothing_more(running):
    stays, leaves = [], []
    running.bus.subscribe(running.type, stays.append)
    running.bus.subscribe(running.type, leaves.append)
    running.publish(running.envelope())
    eventually(lambda: stays and leaves)
    running.bus.unsubscribe(running.type, leaves.append)
    running.publish(running.envelope())
    eventually(lambda: len(stays) == 2)
    assert len(leaves) == 1
    running.bus.unsubscribe(running.type, leaves.append)


def test_what_a_handler_writes_is_rolled_back_when_a_later_one_fails(running):
    """And the message is not lost: the publisher gets the error, or it is tried again."""
    failures = []

    def write(envelope):
        OperatorAction.objects.create(who="handler", action="noted", subject=str(envelope.id))

    def fail_once(envelope):
        if not failures:
            failures.append(envelope)
            raise Boom

    running.bus.subscribe(running.type, write)
    running.bus.subscribe(running.type, fail_once)
    sent = running.envelope()
    if isinstance(running.bus, InProcessBus):
        with pytest.raises(Boom), transaction.atomic():
            running.publish(sent)
        assert not OperatorAction.objects.exists()
        running.publish(sent)
    else:
        running.publish(sent)
    eventually(lambda: OperatorAction.objects.exists())
    assert OperatorAction.objects.count() == 1
    assert failures == [sent]


def test_publishing_nothing_is_nothing(running):
    running.publish()


@pytest.mark.parametrize("broker", BROKERS)
def test_a_broker_is_not_waited_for_in_a_transaction(broker, consumers):
    of = consumers(broker)
    with pytest.raises(InTransaction), transaction.atomic():
        BrokerBus(broker, of.consumer).publish([])
