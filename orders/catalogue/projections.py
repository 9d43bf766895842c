"""The catalogue as customers see it: one row for each product."""

from operator import attrgetter

from eventstore.money import Money
from eventstore.subscriptions import Projection, Row
from orders.events import ProductDelisted, ProductListed, ProductRepriced
from orders.models import ProductView


def product_listed(row: Row, event: ProductListed) -> Row:
    return row | {"name": event.name, "offered": True} | _price(event.price)


def product_repriced(row: Row, event: ProductRepriced) -> Row:
    return row | _price(event.price)


def product_delisted(row: Row, event: ProductDelisted) -> Row:
    return row | {"offered": False}


def _price(price: Money) -> Row:
    return {"price": price.amount, "currency": price.currency, "exponent": price.exponent}


CATALOGUE = Projection(
    model=ProductView,
    category="product",
    key=attrgetter("sku"),
    evolve={
        ProductListed: product_listed,
        ProductRepriced: product_repriced,
        ProductDelisted: product_delisted,
    },
)
