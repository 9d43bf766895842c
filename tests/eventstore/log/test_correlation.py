"""Correlation and causation: from whoever asked to the last effect, nothing of a business
transaction goes astray."""

from datetime import UTC, datetime

import pytest
from uuid_utils.compat import uuid7

from eventstore import codec, log
from eventstore.commands import bus
from eventstore.messages import Metadata
from eventstore.models import OutboxMessage
from eventstore.money import Money
from eventstore.outbox import cursors
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import CancelOrder, Item, ListProduct, PlaceOrder
from shipping.commands import Address

pytestmark = pytest.mark.django_db(transaction=True)

COURSES = {
    "fulfilled": ("tok_visa", "1", None),
    "declined": ("tok_declined", "1", None),
    "out of stock": ("tok_visa", "1", 99),
    "not served": ("tok_visa", "REFUSED", None),
}


@pytest.fixture
def shop(transactional_db):
    cursors.ensure_cursors()
    bus.dispatch(ListProduct("A", "Apple", Money(100, "EUR")))
    bus.dispatch(ReceiveStock("A", 5))
    drain()


def place(metadata, method="tok_visa", postcode="1", quantity=None):
    order = PlaceOrder(
        order_id="o1",
        customer_id="c1",
        items=(Item("A", quantity or 1),),
        address=Address(postcode=postcode),
        payment_method=method,
        placed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    bus.dispatch(order, metadata=metadata)


def events_of_the_order():
    return [message for message in log.read_log() if b"o1" in codec.encode_json(message.body)]


@pytest.mark.parametrize("course", COURSES)
def test_every_event_of_an_order_has_its_correlation_id_and_names_an_earlier_one_as_its_cause(
    shop, course
):
    asked = Metadata(uuid7(), actor="ada", trace="00-trace")
    place(asked, *COURSES[course])
    drain()

    events = events_of_the_order()
    assert len(events) >= 4
    assert list(log.read_correlated(asked.correlation_id)) == events
    first, *later = events
    assert first.metadata == Metadata(
        asked.correlation_id, None, "ada", "00-trace", "orders.place_order"
    )
    seen = {first.id}
    for event in later:
        assert event.metadata.causation_id in seen
        assert event.metadata.trace == "00-trace"
        seen.add(event.id)


def test_whatever_is_owed_for_an_order_is_of_its_business_transaction_too(shop, monkeypatch):
    """Each command goes by the outbox here, as if its context had never been idle."""
    monkeypatch.setattr(cursors, "claim_idle", lambda names: set())
    asked = Metadata(uuid7())
    place(asked)
    drain()
    outgoing = OutboxMessage.objects.exclude(topic="event")
    assert outgoing.count() >= 6
    assert {message.metadata["correlation_id"] for message in outgoing} == {
        str(asked.correlation_id)
    }
    known = {str(event.id) for event in events_of_the_order()}
    assert {message.metadata["causation_id"] for message in outgoing} <= known


def test_every_event_says_which_command_led_to_it_and_who_gave_it(shop):
    place(Metadata(uuid7(), actor="ada"))
    drain()
    by = {
        event.type: (event.metadata.command, event.metadata.actor)
        for event in events_of_the_order()
    }
    assert by["orders.order_placed"] == ("orders.place_order", "ada")
    assert by["payments.payment_requested"] == ("payments.process_payment", "orders.fulfilment")
    assert by["payments.payment_completed"] == ("payments.complete_payment", "payments.gateway")
    assert by["orders.order_confirmed"] == ("orders.confirm_order", "orders.fulfilment")


def test_a_second_wish_about_the_same_order_is_a_business_transaction_of_its_own(shop):
    place(Metadata(uuid7()))
    cancel = Metadata(uuid7(), actor="ada")
    bus.dispatch(CancelOrder("o1", "changed my mind"), metadata=cancel)
    drain()
    assert "orders.order_cancelled" in {
        event.type for event in log.read_correlated(cancel.correlation_id)
    }
