"""A product of the catalogue: its name, its price, and whether it is offered."""

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State, replace
from eventstore.money import Money
from orders.commands import DelistProduct, ImportProduct, ListProduct, RepriceProduct
from orders.events import ProductDelisted, ProductListed, ProductRepriced


class ProductNotOffered(CommandRejected):
    """The catalogue does not offer this product."""


class Product(State, frozen=True):
    offered: bool = False
    name: str = ""
    price: Money | None = None


def list_(product: Product, command: ListProduct) -> list[Event]:
    if product == Product(True, command.name, command.price):
        return []
    return [ProductListed(command.sku, command.name, command.price)]


def import_(product: Product, command: ImportProduct) -> list[Event]:
    if product != Product():
        return []
    return [ProductListed(command.sku, command.name, command.price)]


def reprice(product: Product, command: RepriceProduct) -> list[Event]:
    if not product.offered:
        raise ProductNotOffered(command.sku)
    if product.price == command.price:
        return []
    return [ProductRepriced(command.sku, command.price)]


def delist(product: Product, command: DelistProduct) -> list[Event]:
    if not product.offered:
        return []
    return [ProductDelisted(command.sku)]


PRODUCT = Aggregate(
    category="product",
    identity="sku",
    initial=Product(),
    decide={
        ListProduct: list_,
        ImportProduct: import_,
        RepriceProduct: reprice,
        DelistProduct: delist,
    },
    evolve={
        ProductListed: lambda product, event: Product(True, event.name, event.price),
        ProductRepriced: lambda product, event: replace(product, price=event.price),
        ProductDelisted: lambda product, event: replace(product, offered=False),
    },
    snapshot_every=500,
)
