"""Place an order: decided over the order and its products, so the prices are the catalogue's."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventstore.aggregate import CommandRejected, Decision, EventsByStream, stream_name
from eventstore.money import Money
from orders.catalogue.aggregate import PRODUCT, ProductNotOffered
from orders.commands import PlaceOrder
from orders.events import OrderLine, OrderPlaced
from orders.order.aggregate import ORDER, OrderAlreadyPlaced
from orders.returns import quantities


class PriceChanged(CommandRejected):
    """The price is not the one that the customer saw."""


class MixedCurrencies(CommandRejected):
    """All products of an order need prices in one currency; order the others separately."""


class NotPayable(CommandRejected):
    """The payment provider cannot charge this amount."""


class EmptyOrder(CommandRejected):
    """An order needs at least one item."""


def streams(command: PlaceOrder) -> Sequence[str]:
    return [_order(command), *dict.fromkeys(_product(item.sku) for item in command.items)]


def anything(money: Money) -> str:
    """The limit of a provider that can charge and refund every amount."""
    return ""


def decisions(payable: Callable[[Money], str]) -> Mapping[type[PlaceOrder], Decision]:
    """payable: amount -> why the payment provider cannot charge it; empty if it can."""

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
    prices: list[Money] = []
    for item in command.items:
        product = states[_product(item.sku)]
        if not product.offered or product.price is None:
            raise ProductNotOffered(item.sku)
        if item.seen is not None and item.seen != product.price:
            raise PriceChanged(f"{item.sku} costs {product.price}, not {item.seen}.")
        prices.append(product.price)
    if len(currencies := {price.currency for price in prices}) > 1:
        raise MixedCurrencies(f"The prices are in {', '.join(sorted(currencies))}.")
    # The finest unit of all prices, so that no price is rounded.
    finest = max(price.exponent for price in prices)
    prices = [price.at(finest) for price in prices]
    lines = tuple(
        OrderLine(item.sku, states[_product(item.sku)].name, item.quantity, price.amount)
        for item, price in zip(command.items, prices, strict=True)
    )
    placed = OrderPlaced(
        order_id=command.order_id,
        customer_id=command.customer_id,
        lines=lines,
        charges=(),
        total=prices[0].of(quantities.total(lines)),
        address=command.address,
        payment_method=command.payment_method,
        placed_at=command.placed_at,
    )
    return {_order(command): [placed]}


def _order(command: PlaceOrder) -> str:
    return stream_name(ORDER.category, command.order_id)


def _product(sku: str) -> str:
    return stream_name(PRODUCT.category, sku)


DECISIONS = decisions(anything)
