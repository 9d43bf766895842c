"""Placing an order: decided over the order and the catalogue's products, so that prices are the
shop's own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventstore.aggregate import CommandRejected, Decision, EventsByStream, stream_name
from eventstore.money import Money
from orders.catalogue.aggregate import PRODUCT, Product, ProductNotOffered
from orders.commands import Item, PlaceOrder
from orders.events import OrderLine, OrderPlaced
from orders.order.aggregate import ORDER, OrderAlreadyPlaced
from orders.returns import quantities as portions


class PriceChanged(CommandRejected):
    """The customer saw another price than the catalogue's."""


class MixedCurrencies(CommandRejected):
    """The products are not all priced in one currency; order them apart."""


class NotPayable(CommandRejected):
    """The payment provider cannot take this amount."""


class EmptyOrder(CommandRejected):
    """An order has at least one item."""


def streams(command: PlaceOrder) -> Sequence[str]:
    return [_order(command), *dict.fromkeys(_product(item.sku) for item in command.items)]


def anything(money: Money) -> str:
    """Of a provider that can move every amount."""
    return ""


def decisions(payable: Callable[[Money], str]) -> Mapping[type[PlaceOrder], Decision]:
    """payable: why the payment provider cannot take an amount; nothing, if it can."""

    def place_payable(states: Mapping[str, Any], command: PlaceOrder) -> EventsByStream:
        decided = place(states, command)
        for event in decided[_order(command)]:
            if (
                isinstance(event, OrderPlaced)
                and event.total.amount
                and (why := payable(event.total))
            ):
                raise NotPayable(why)
        return decided

    return {PlaceOrder: Decision(streams, place_payable, creates_stream=True)}


def place(states: Mapping[str, Any], command: PlaceOrder) -> EventsByStream:
    if states[_order(command)].status != "new":
        raise OrderAlreadyPlaced(command.order_id)
    if not command.items:
        raise EmptyOrder(command.order_id)
    prices = [_price(states[_product(item.sku)], item) for item in command.items]
    if len({price.currency for price in prices}) > 1:
        raise MixedCurrencies(command.order_id)
    # In the finest unit of them all, in which each price is what it was.
    finest = max(price.exponent for price in prices)
    prices = [price.at(finest) for price in prices]
    lines = tuple(
        OrderLine(item.sku, states[_product(item.sku)].name, item.quantity, price.amount)
        for item, price in zip(command.items, prices, strict=True)
    )
    return {_order(command): [_placed(command, lines, prices[0])]}


def _price(product: Product, item: Item) -> Money:
    if not product.offered or product.price is None:
        raise ProductNotOffered(item.sku)
    if item.seen is not None and item.seen != product.price:
        raise PriceChanged(f"{item.sku} costs {product.price}, not {item.seen}.")
    return product.price


def _placed(command: PlaceOrder, lines: tuple[OrderLine, ...], unit: Money) -> OrderPlaced:
    return OrderPlaced(
        order_id=command.order_id,
        customer_id=command.customer_id,
        lines=lines,
        charges=(),
        total=unit.of(portions.value(lines)),
        address=command.address,
        payment_method=command.payment_method,
        placed_at=command.placed_at,
    )


def _order(command: PlaceOrder) -> str:
    return stream_name(ORDER.category, command.order_id)


def _product(sku: str) -> str:
    return stream_name(PRODUCT.category, sku)


DECISIONS = decisions(anything)
