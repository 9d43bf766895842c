"""What other systems get of orders: three messages, each a contract apart from our own events.

orders.order_confirmed_integration  an integration event: what a partner needs to act on a
                                    confirmed order
orders.order_status_changed         a notification: the id alone
orders.order_details                a state transfer: the whole order at its present version
"""

from collections.abc import Sequence

from eventstore.messages import Event, EventNotification, IntegrationEvent, StateTransfer
from eventstore.money import Money
from eventstore.subscriptions import Publication
from orders.events import (
    Charge,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRefundRequested,
)
from shipping.commands import Address


class OrderConfirmedIntegrationEvent(IntegrationEvent, frozen=True):
    order_id: str
    customer_id: str
    total: Money


class OrderStatusChanged(EventNotification, frozen=True):
    order_id: str


class OrderDetails(StateTransfer, frozen=True):
    order_id: str
    customer_id: str
    status: str
    lines: tuple[OrderLine, ...]
    charges: tuple[Charge, ...]
    total: Money
    address: Address
    version: int


PUBLISHED = {
    "orders.order_confirmed_integration": OrderConfirmedIntegrationEvent,
    "orders.order_status_changed": OrderStatusChanged,
    "orders.order_details": OrderDetails,
}


def order_placed(event: OrderPlaced, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [OrderStatusChanged(event.order_id), _details("PLACED", history)]


def order_confirmed(event: OrderConfirmed, history: Sequence[Event]) -> list[IntegrationEvent]:
    placed = _placed(history)
    return [
        OrderConfirmedIntegrationEvent(event.order_id, placed.customer_id, placed.total),
        OrderStatusChanged(event.order_id),
        _details("CONFIRMED", history),
    ]


def order_cancelled(event: OrderCancelled, history: Sequence[Event]) -> list[IntegrationEvent]:
    return [OrderStatusChanged(event.order_id), _details("CANCELLED", history)]


def order_refund_requested(
    event: OrderRefundRequested, history: Sequence[Event]
) -> list[IntegrationEvent]:
    return [OrderStatusChanged(event.order_id), _details("REFUNDING", history)]


def _details(status: str, history: Sequence[Event]) -> OrderDetails:
    placed = _placed(history)
    return OrderDetails(
        order_id=placed.order_id,
        customer_id=placed.customer_id,
        status=status,
        lines=placed.lines,
        charges=placed.charges,
        total=placed.total,
        address=placed.address,
        version=len(history),
    )


def _placed(history: Sequence[Event]) -> OrderPlaced:
    return next(event for event in history if isinstance(event, OrderPlaced))


PUBLICATION = Publication(
    publish={
        OrderPlaced: order_placed,
        OrderConfirmed: order_confirmed,
        OrderCancelled: order_cancelled,
        OrderRefundRequested: order_refund_requested,
    },
)
