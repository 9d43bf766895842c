"""Place an order: decided over the order and its products, so the prices are the catalogue's."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from eventstore.aggregate import CommandRejected, Decision, EventsByStream, stream_name
from eventstore.money import Money
from orders.catalogue.aggregate import PRODUCT, Product, ProductNotOffered
from orders.commands import Item, PlaceOrder
from orders.events import OrderLine, OrderPlaced
from orders.order.aggregate import ORDER, OrderAlreadyPlaced


class PriceChanged(CommandRejected):
    """The price is not the one that the customer saw."""


class MixedCurrencies(CommandRejected):
    """All products of an order need prices in one currency; order the others separately."""


class NotPayable(CommandRejected):
    """The payment provider cannot charge this amount."""


class EmptyOrder(CommandRejected):
    """An order needs at least one item."""


def streams(command: PlaceOrder) -> Sequence[str]:
    products = [stream_name(PRODUCT.category, item.sku) for item in command.items]
    return [ORDER.stream(command), *dict.fromkeys(products)]


def anything(money: Money) -> str:
    """The limit of a provider that can charge and refund every amount."""
    return ""


def decisions(payable: Callable[[Money], str]) -> Mapping[type[PlaceOrder], Decision]:
    """payable: amount -> why the payment provider cannot charge it; empty if it can."""
    return {PlaceOrder: Decision(streams, partial(place, payable=payable), creates_stream=True)}


def place(
    states: Mapping[str, Any], command: PlaceOrder, *, payable: Callable[[Money], str]
) -> EventsByStream:
    own = ORDER.stream(command)
    if states[own].status != "new":
        raise OrderAlreadyPlaced(command.order_id)
    if not command.items:
        raise EmptyOrder(command.order_id)
    products = [states[stream_name(PRODUCT.category, item.sku)] for item in command.items]
    prices = [_price(product, item) for product, item in zip(products, command.items, strict=True)]
    if len(currencies := {price.currency for price in prices}) > 1:
        raise MixedCurrencies(f"The prices are in {', '.join(sorted(currencies))}.")
    # The finest unit of all prices, so that no price is rounded.
    finest = max(price.exponent for price in prices)
    prices = [price.at(finest) for price in prices]
    lines = tuple(
        OrderLine(item.sku, product.name, item.quantity, price.amount)
        for item, product, price in zip(command.items, products, prices, strict=True)
    )
    total = prices[0].of(sum(line.quantity * line.unit_price for line in lines))
    if total.amount and (why := payable(total)):
        raise NotPayable(why)
    placed = OrderPlaced(
        order_id=command.order_id,
        customer_id=command.customer_id,
        lines=lines,
        charges=(),
        total=total,
        address=command.address,
        payment_method=command.payment_method,
        placed_at=command.placed_at,
    )
    return {own: [placed]}


def _price(product: Product, item: Item) -> Money:
    if not product.offered or product.price is None:
        raise ProductNotOffered(item.sku)
    if item.seen is not None and item.seen != product.price:
        raise PriceChanged(f"{item.sku} costs {product.price}, not {item.seen}.")
    return product.price


DECISIONS = decisions(anything)
