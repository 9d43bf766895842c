"""The order: placed once, then confirmed or cancelled, and a confirmed one may be refunded; it
knows which of its units some return has."""

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
from orders.returns import quantities as portions


class OrderNotFound(CommandRejected):
    """No order of this id has been placed."""


class OrderAlreadyPlaced(CommandRejected):
    """An order of this id exists."""


class OrderNotOpen(CommandRejected):
    """The order is confirmed, cancelled or refunded already."""


# Of such an order no parcel may leave any more.
CALLED_OFF = ("cancelled", "refunding")


class Order(State, frozen=True):
    """status: new, placed, confirmed, cancelled or refunding.

    lines_back, charges_back: units by the number of their line or charge that some return has.
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
                portions.value((*command.lines, *command.charges)),
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
        raise OrderNotOpen(f"{command.order_id} is {order.status}.")
    return [OrderConfirmed(command.order_id)]


def cancel(order: Order, command: CancelOrder) -> list[Event]:
    if order.status == "new":
        raise OrderNotFound(command.order_id)
    if order.status == "cancelled":
        return []
    if order.status != "placed":
        raise OrderNotOpen(f"{command.order_id} is {order.status}.")
    return [OrderCancelled(command.order_id, command.reason)]


def refund(order: Order, command: RefundOrder) -> list[Event]:
    """What is under way is undone by its process, the last step first, and its money goes back with
    it."""
    if order.status == "new":
        raise OrderNotFound(command.order_id)
    if order.status == "cancelled":
        raise OrderNotOpen(
            f"{command.order_id} is cancelled, and its process gives back what was paid."
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
        lines_back=_moved(order.lines_back, event.lines, 1),
        charges_back=_moved(order.charges_back, event.charges, 1),
    )


def return_forgone(order: Order, event: ReturnForgone) -> Order:
    return replace(
        order,
        lines_back=_moved(order.lines_back, event.lines, -1),
        charges_back=_moved(order.charges_back, event.charges, -1),
    )


def _moved(back: dict[int, int], portions: Iterable[Portion], sign: int) -> dict[int, int]:
    moved = dict(back)
    for portion in portions:
        moved[portion.number] = moved.get(portion.number, 0) + sign * portion.quantity
    return moved


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
