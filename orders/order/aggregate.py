"""The order: placed once, then confirmed or cancelled; a confirmed order may be refunded.

It records which of its units belong to a return.
"""

from collections.abc import Iterable

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State, replace
from eventstore.money import Money
from orders.commands import CancelOrder, ConfirmOrder, ImportOrder, RefundOrder
from orders.events import (
    Charge,
    OrderCancelled,
    OrderConfirmed,
    OrderLine,
    OrderPlaced,
    OrderRefundRequested,
    Portion,
    ReturnForgone,
    ReturnPromised,
)
from orders.returns import quantities


class OrderNotFound(CommandRejected):
    """No order has this id."""


class OrderAlreadyPlaced(CommandRejected):
    """An order with this id exists already."""


class OrderNotOpen(CommandRejected):
    """The status of the order does not allow this."""


# In these statuses no parcel of the order may leave any more.
CALLED_OFF = ("cancelled", "refunding")


class Order(State, frozen=True):
    """status: new, placed, confirmed, cancelled or refunding.

    lines_back, charges_back: units that belong to a return, by the number of their line or charge.
    """

    status: str = "new"
    customer_id: str = ""
    total: Money = Money(0, "XXX")
    lines: tuple[OrderLine, ...] = ()
    charges: tuple[Charge, ...] = ()
    lines_back: dict[int, int] = {}
    charges_back: dict[int, int] = {}


def import_(order: Order, command: ImportOrder) -> list[Event]:
    if order.status != "new":
        raise OrderAlreadyPlaced(command.order_id)
    return [
        OrderPlaced(
            order_id=command.order_id,
            customer_id=command.customer_id,
            lines=command.lines,
            charges=command.charges,
            total=Money(
                quantities.total((*command.lines, *command.charges)),
                command.currency,
                command.exponent,
            ),
            address=command.address,
            payment_method=command.payment_method,
            placed_at=command.placed_at,
            reference=command.reference,
        )
    ]


def confirm(order: Order, command: ConfirmOrder) -> list[Event]:
    if order.status in ("confirmed", "refunding"):
        return []
    if order.status != "placed":
        raise OrderNotOpen(
            f"Order {command.order_id} is {order.status}; only a placed order can be confirmed."
        )
    return [OrderConfirmed(command.order_id)]


def cancel(order: Order, command: CancelOrder) -> list[Event]:
    if order.status == "new":
        raise OrderNotFound(command.order_id)
    if order.status == "cancelled":
        return []
    if order.status != "placed":
        raise OrderNotOpen(
            f"Order {command.order_id} is {order.status}; only a placed order can be cancelled."
        )
    return [OrderCancelled(command.order_id, command.reason)]


def refund(order: Order, command: RefundOrder) -> list[Event]:
    """An order under way is cancelled instead: its process undoes the steps in reverse and refunds
    the payment."""
    if order.status == "new":
        raise OrderNotFound(command.order_id)
    if order.status == "cancelled":
        raise OrderNotOpen(
            f"Order {command.order_id} is cancelled; its cancellation refunds the payment."
        )
    if order.status == "refunding":
        return []
    if order.status == "placed":
        return [OrderCancelled(command.order_id, command.reason)]
    return [OrderRefundRequested(command.order_id, command.reason, recalled=True)]


def placed(order: Order, event: OrderPlaced) -> Order:
    return Order("placed", event.customer_id, event.total, event.lines, event.charges)


def return_promised(order: Order, event: ReturnPromised) -> Order:
    return replace(
        order,
        lines_back=_add_units(order.lines_back, event.lines, 1),
        charges_back=_add_units(order.charges_back, event.charges, 1),
    )


def return_forgone(order: Order, event: ReturnForgone) -> Order:
    return replace(
        order,
        lines_back=_add_units(order.lines_back, event.lines, -1),
        charges_back=_add_units(order.charges_back, event.charges, -1),
    )


def _add_units(back: dict[int, int], portions: Iterable[Portion], sign: int) -> dict[int, int]:
    units = dict(back)
    for portion in portions:
        units[portion.number] = units.get(portion.number, 0) + sign * portion.quantity
    return units


ORDER = Aggregate(
    category="order",
    identity="order_id",
    initial=Order(),
    decide={
        ImportOrder: import_,
        ConfirmOrder: confirm,
        CancelOrder: cancel,
        RefundOrder: refund,
    },
    evolve={
        OrderPlaced: placed,
        OrderConfirmed: lambda order, event: replace(order, status="confirmed"),
        OrderCancelled: lambda order, event: replace(order, status="cancelled"),
        OrderRefundRequested: lambda order, event: replace(order, status="refunding"),
        ReturnPromised: return_promised,
        ReturnForgone: return_forgone,
    },
)
