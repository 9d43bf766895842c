"""The shop, as far as the partner knows it: two of its published events, with the fields that are
used here. Fields that the shop adds do not matter."""

from collections.abc import Sequence

from eventstore.messages import Command, IntegrationEvent
from eventstore.messaging.event_bus import Envelope
from eventstore.money import Money
from eventstore.subscriptions import Consumer

from .commands import CreditOrder, TakeBackOrder

CALLED_OFF = ("CANCELLED", "REFUNDING")


class OrderConfirmed(IntegrationEvent, frozen=True):
    """customer_id: empty for a guest."""

    order_id: str
    customer_id: str
    total: Money


class OrderDetails(IntegrationEvent, frozen=True):
    """The state of an order, each time it changes."""

    order_id: str
    customer_id: str
    status: str


def order_confirmed(envelope: Envelope) -> Sequence[Command]:
    order: OrderConfirmed = envelope.event
    if not order.customer_id:
        return []
    return [CreditOrder(order.customer_id, order.order_id, order.total)]


def order_changed(envelope: Envelope) -> Sequence[Command]:
    order: OrderDetails = envelope.event
    if not order.customer_id or order.status not in CALLED_OFF:
        return []
    return [TakeBackOrder(order.customer_id, order.order_id)]


def read_from(broker: str) -> Consumer:
    return Consumer(
        broker,
        topics=["events.orders"],
        handle={
            "orders.order_confirmed_integration": order_confirmed,
            "orders.order_details": order_changed,
        },
        contract={
            "orders.order_confirmed_integration": OrderConfirmed,
            "orders.order_details": OrderDetails,
        },
    )
