"""The order: placed once, then confirmed or cancelled; a confirmed order may be refunded.

Placing it is decided over the order and its products, so the prices are the catalogue's. It records
which of its units belong to a return.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import mul
from typing import Any

from eventstore.aggregate import (
    Aggregate,
    CommandRejected,
    Decision,
    EventsByStream,
    stream_name,
)
from eventstore.messages import Event, State, replace
from eventstore.money import Money
from orders.catalogue.aggregate import PRODUCT, ProductNotOffered
from orders.commands import (
    CancelOrder,
    ConfirmOrder,
    ImportOrder,
    PlaceOrder,
    RefundOrder,
)
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
from payments.commands import ELSEWHERE


class OrderNotFound(CommandRejected):
    """No order has this id."""


class OrderAlreadyPlaced(CommandRejected):
    """An order with this id exists already."""


class OrderNotOpen(CommandRejected):
    """The status of the order does not allow this."""


class PriceChanged(CommandRejected):
    """The price is not the one that the customer saw."""


class MixedCurrencies(CommandRejected):
    """All products of an order need prices in one currency; order the others separately."""


class NotPayable(CommandRejected):
    """The payment provider cannot charge this amount."""


class EmptyOrder(CommandRejected):
    """An order needs at least one item."""


# Of a payment provider: amount -> why it cannot move it; empty if it can. None is no limit.
Limit = Callable[[Money], str] | None

# In these statuses no parcel of the order may leave any more.
CALLED_OFF = ("cancelled", "refunding")


class Order(State, frozen=True):
    """status: new, placed, confirmed, cancelled or refunding. elsewhere: paid outside this
    platform.

    lines_back, charges_back: units that belong to a return, by the number of their line or charge.
    """

    status: str = "new"
    customer_id: str = ""
    total: Money = Money(0, "XXX")
    lines: tuple[OrderLine, ...] = ()
    charges: tuple[Charge, ...] = ()
    lines_back: dict[int, int] = {}
    charges_back: dict[int, int] = {}
    elsewhere: bool = False


def streams(command: PlaceOrder) -> Sequence[str]:
    """Prices are the catalogue's, so the products are read too."""
    products = [stream_name(PRODUCT.category, item.sku) for item in command.items]
    return [ORDER.stream(command), *dict.fromkeys(products)]


def place(
    states: Mapping[str, Any], command: PlaceOrder, *, payable: Limit = None
) -> EventsByStream:
    """payable: why the payment provider cannot charge an amount."""
    products = [states[stream_name(PRODUCT.category, item.sku)] for item in command.items]
    own = ORDER.stream(command)
    if states[own].status != "new":
        raise OrderAlreadyPlaced(command.order_id)
    if not products:
        raise EmptyOrder(command.order_id)
    if command.payment_method == ELSEWHERE:
        raise NotPayable(f"{ELSEWHERE!r} is the method of imported orders alone.")
    for product, item in zip(products, command.items, strict=True):
        if not product.offered or product.price is None:
            raise ProductNotOffered(item.sku)
        if item.seen is not None and item.seen != product.price:
            raise PriceChanged(f"{item.sku} costs {product.price}, not {item.seen}.")
    prices = [product.price for product in products]
    if len(currencies := {price.currency for price in prices}) > 1:
        raise MixedCurrencies(f"The prices are in {', '.join(sorted(currencies))}.")
    # The finest unit of all prices, so that no price is rounded.
    finest = max(price.exponent for price in prices)
    units = [item.quantity for item in command.items]
    unit_prices = [price.at(finest).amount for price in prices]
    total = prices[0].at(finest).of(sum(map(mul, units, unit_prices)))
    if payable and total.amount and (why := payable(total)):
        raise NotPayable(why)
    lines = [
        OrderLine(item.sku, product.name, item.quantity, unit_price)
        for item, product, unit_price in zip(command.items, products, unit_prices, strict=True)
    ]
    event = OrderPlaced(
        order_id=command.order_id,
        customer_id=command.customer_id,
        lines=tuple(lines),
        charges=(),
        total=total,
        address=command.address,
        payment_method=command.payment_method,
        placed_at=command.placed_at,
    )
    return {own: [event]}


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
    if order.elsewhere:
        raise OrderNotOpen(
            f"Order {command.order_id} was paid elsewhere; give the money back there."
        )
    return [OrderRefundRequested(command.order_id, command.reason, recalled=True)]


def placed(order: Order, event: OrderPlaced) -> Order:
    elsewhere = event.payment_method == ELSEWHERE
    return Order(
        "placed", event.customer_id, event.total, event.lines, event.charges, elsewhere=elsewhere
    )


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


def decisions(payable: Limit = None) -> Mapping[type[PlaceOrder], Decision]:
    """payable: as for place."""
    return {PlaceOrder: Decision(streams, partial(place, payable=payable), creates=ORDER)}


DECISIONS = decisions()
