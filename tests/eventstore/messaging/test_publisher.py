"""Four kinds of event: domain events stay ours; what others are told goes out on the bus."""

import pytest

from eventstore.log import ANY, append
from eventstore.messages import EventNotification, IntegrationEvent, StateTransfer
from eventstore.messaging.event_bus import InProcessBus, event_bus
from eventstore.models import Parked, Subscription
from eventstore.subscriptions import Publication
from eventstore.testing import drain
from tests.eventstore.toy import Boom, Closed, Counted


class CounterPassedTen(IntegrationEvent, frozen=True):
    counter_id: str


class CounterChanged(EventNotification, frozen=True):
    counter_id: str


class CounterStands(StateTransfer, frozen=True):
    counter_id: str
    total: int


def published(event, history):
    total = sum(each.amount for each in history if isinstance(each, Counted))
    passed = [CounterPassedTen(event.counter_id)] if total >= 10 > total - event.amount else []
    return [*passed, CounterChanged(event.counter_id), CounterStands(event.counter_id, total)]


PUBLISHED = [
    {
        "toy.counter_passed_ten": CounterPassedTen,
        "toy.counter_changed": CounterChanged,
        "toy.counter_stands": CounterStands,
    }
]

pytestmark = [pytest.mark.django_db(transaction=True)]


@pytest.fixture
def heard(toys):
    toys({"toy.published": Publication(publish={Counted: published})}, PUBLISHED=PUBLISHED)
    heard = []
    event_bus().subscribe("toy.*", heard.append)
    yield heard
    event_bus().unsubscribe("toy.*", heard.append)


def test_each_domain_event_is_translated_with_the_history_up_to_it(heard):
    append("counter-a", [Counted("a", 6), Counted("a", 5)], expected=ANY)
    drain()
    assert [envelope.event for envelope in heard] == [
        CounterChanged("a"),
        CounterStands("a", 6),
        CounterPassedTen("a"),
        CounterChanged("a"),
        CounterStands("a", 11),
    ]


def test_an_envelope_says_where_it_comes_from(heard):
    append("counter-a", [Counted("a", 6)], expected=ANY)
    drain()
    changed, stands = heard
    assert (changed.type, stands.type) == ("toy.counter_changed", "toy.counter_stands")
    assert changed.subject == "counter-a"
    assert changed.id != stands.id
    assert changed.causation_id == stands.causation_id


def test_each_envelope_names_the_one_before_it_in_its_stream(heard):
    append("counter-a", [Counted("a", 6), Closed("a"), Counted("a", 5)], expected=ANY)
    drain()
    assert [(each.sequence, each.previous) for each in heard] == [
        (1000, 0),
        (1001, 1000),
        (3000, 1001),
        (3001, 3000),
        (3002, 3001),
    ]


def test_published_again_it_has_the_same_id(heard):
    append("counter-a", [Counted("a", 6)], expected=ANY)
    drain()
    Subscription.objects.update(position=0)
    drain()
    assert [envelope.id for envelope in heard[:2]] == [envelope.id for envelope in heard[2:]]


def test_a_subscriber_that_raises_parks_the_event_and_hears_it_again(heard):
    def boom(envelope):
        raise Boom

    event_bus().subscribe("toy.counter_changed", boom)
    append("counter-a", [Counted("a")], expected=ANY)
    drain()
    assert Parked.objects.get().status == "failed"
    event_bus().unsubscribe("toy.counter_changed", boom)
    Parked.objects.update(due_at="2000-01-01T00:00Z")
    drain()
    assert not Parked.objects.exists()
    assert CounterStands("a", 1) in [envelope.event for envelope in heard]


def test_where_nobody_listens_nothing_is_translated(toys):
    def never(event, history):
        raise Boom

    toys({"toy.published": Publication(publish={Counted: never})}, PUBLISHED=PUBLISHED)
    append("counter-a", [Counted("a")], expected=ANY)
    drain()
    assert not Parked.objects.exists()


class TestInProcessBus:
    def test_patterns_choose_what_is_heard_and_nothing_twice(self):
        bus, heard = InProcessBus(), []
        bus.subscribe("orders.order_placed", heard.append)
        bus.subscribe("orders.order_placed", heard.append)
        bus.subscribe("payments.*", print)
        envelope = _envelope("orders.order_placed")
        bus.publish([envelope, _envelope("orders.order_confirmed")])
        assert heard == [envelope]

    def test_who_unsubscribes_hears_no_more(self):
        bus, heard = InProcessBus(), []
        bus.subscribe("*", heard.append)
        bus.unsubscribe("*", heard.append)
        bus.unsubscribe("*", heard.append)
        bus.publish([_envelope("toy.counted")])
        assert heard == []


def _envelope(type_):
    from datetime import UTC, datetime
    from uuid import UUID

    from eventstore.messaging.event_bus import Envelope

    nil = UUID(int=0)
    return Envelope(nil, type_, "toy-1", 1, datetime.now(UTC), nil, nil, None)
