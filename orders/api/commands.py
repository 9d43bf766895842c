"""Commands of customers (place, cancel), of support and finance (refund), of operations
(catalogue)."""

import re
from collections.abc import Mapping
from typing import Any

from django.core.validators import RegexValidator
from django.utils import timezone

from access.authorization import Operations, Refunding, may_act_for
from eventstore.aggregate import stream_name
from eventstore.api.bulk import BulkView
from eventstore.api.commands import CommandView, known
from eventstore.api.errors import Hidden
from eventstore.api.serializers import (
    BLANK,
    INVISIBLE,
    LINES,
    Characters,
    Key,
    Many,
    MoneyShape,
    PriceShape,
    StrictSerializer,
    Text,
    TextRule,
    Whole,
)
from eventstore.commands import repository
from eventstore.money import EXPONENTS, Money
from orders.api.cards import no_card_number
from orders.catalogue.aggregate import PRODUCT
from orders.commands import (
    CancelOrder,
    DelistProduct,
    Item,
    ListProduct,
    PlaceOrder,
    RefundOrder,
    RepriceProduct,
)
from orders.order.aggregate import CALLED_OFF, ORDER
from shipping.commands import Address

MOST_ITEMS = 10_000
# No text of digits and separators alone, which no gateway's token is; and what Text demands.
TOKEN = Characters(
    rf"^(?![\d -]{{12,}}\Z)[{BLANK}]*[^{BLANK}{INVISIBLE}][^{INVISIBLE}]*\Z",
    "Expected the payment gateway's token, on one line and without invisible characters.",
    "invalid",
)


class ItemShape(StrictSerializer):
    """seen: the unit price that the customer saw; the order is refused if it has changed."""

    makes = Item
    sku = Key()
    quantity = Whole(min_value=1)
    seen = PriceShape(required=False)


class AddressShape(StrictSerializer):
    makes = Address
    name = Text(validators=[no_card_number])
    street = Text(validators=[no_card_number])
    city = Text(validators=[no_card_number])
    postcode = Text(max_length=32, allow_blank=True, default="")
    country = Text(
        max_length=2, validators=[RegexValidator(r"^[A-Z]{2}\Z", "Two capital letters (ISO 3166).")]
    )


class PlaceOrderShape(StrictSerializer):
    """payment_method: the payment gateway's token for the card, never the card number."""

    items = Many(child=ItemShape(), min_length=1, max_length=MOST_ITEMS)
    address = AddressShape()
    payment_method = Text(validators=[no_card_number], rule=TextRule(TOKEN, TOKEN))


class CancelOrderShape(StrictSerializer):
    reason = Text(default="cancelled by the customer", rule=LINES, validators=[no_card_number])


class RefundOrderShape(StrictSerializer):
    reason = Text(rule=LINES, validators=[no_card_number])


class ListProductShape(StrictSerializer):
    sku = Key()
    name = Text()
    price = MoneyShape()


def product_from_texts(row: Mapping[str, str]) -> dict[str, Any]:
    """price: in whole units of the currency, with as many decimals as it has: 8.90 EUR."""
    others = {name: text for name, text in row.items() if name not in ("price", "currency")}
    price, currency = row.get("price"), row.get("currency")
    money: dict[str, Any] = {} if currency is None else {"currency": currency}
    if price is not None:
        money["amount"] = _minor_units(price, currency or "")
    return others | {"price": money}


def _minor_units(text: str, currency: str) -> Any:
    """The text itself if it is not an amount of the currency: the shape refuses it."""
    match = re.fullmatch(r"([0-9]{1,12})(?:\.([0-9]{1,6}))?", text)
    exponent = EXPONENTS.get(currency)
    if not match or exponent is None or len(match[2] or "") > exponent:
        return text
    return int(match[1] + (match[2] or "").ljust(exponent, "0"))


class RepriceProductShape(StrictSerializer):
    price = MoneyShape()


class PlaceOrderView(CommandView):
    """Place an order."""

    serializer_class = PlaceOrderShape
    id_field, query_url = "order_id", "/api/queries/orders/"

    def command(self, items: list[Item], address: Address, payment_method: str) -> PlaceOrder:
        user: Any = self.request.user
        return PlaceOrder(
            order_id=self.new_id(),
            customer_id=user.customer_id,
            items=tuple(items),
            address=address,
            payment_method=payment_method,
            placed_at=timezone.now(),
        )


class CancelOrderView(CommandView):
    """Cancel an order that is not confirmed yet. For its customer, and for support."""

    serializer_class = CancelOrderShape
    id_field, query_url = "order_id", "/api/queries/orders/"

    def command(self, order_id: str, reason: str) -> CancelOrder:
        order: Any = known(ORDER.category, order_id)
        if not may_act_for(self.request.user, order.customer_id):
            raise Hidden
        return CancelOrder(order_id, reason)


class RefundOrderView(CommandView):
    """Refund the whole payment. An order under way is cancelled; a parcel that has not left is
    recalled."""

    permission_classes = [Refunding]
    serializer_class = RefundOrderShape
    id_field, query_url = "order_id", "/api/queries/orders/"

    def command(self, order_id: str, reason: str) -> RefundOrder:
        known(ORDER.category, order_id)
        return RefundOrder(order_id, reason)


def is_called_off(order_id: str) -> bool:
    """Whether the parcel of an order must not leave; read from the log."""
    return repository.load_one(stream_name(ORDER.category, order_id)).state.status in CALLED_OFF


class ListProductView(CommandView):
    """Offer a product, or set the name and the price of one that is offered."""

    permission_classes = [Operations]
    serializer_class = ListProductShape
    id_field, query_url = "sku", "/api/queries/products/"

    def command(self, sku: str, name: str, price: Money) -> ListProduct:
        return ListProduct(sku, name, price)


class ListProductsView(BulkView):
    """Offer many products, or set the names and prices of those that are offered: one on each line
    of NDJSON, as for one product, or of CSV with the columns sku, name, price and currency."""

    permission_classes = [Operations]
    serializer_class = ListProductShape
    id_field, query_url, unique = "sku", "/api/queries/products/", "sku"
    example = "sku,name,price,currency\nCUP,A cup,8.90,EUR\n"
    from_texts = staticmethod(product_from_texts)

    def command(self, sku: str, name: str, price: Money) -> ListProduct:
        return ListProduct(sku, name, price)


class RepriceProductView(CommandView):
    """Set the price of a product."""

    permission_classes = [Operations]
    serializer_class = RepriceProductShape
    id_field, query_url = "sku", "/api/queries/products/"

    def command(self, sku: str, price: Money) -> RepriceProduct:
        known(PRODUCT.category, sku)
        return RepriceProduct(sku, price)


class DelistProductView(CommandView):
    """Offer a product no longer."""

    permission_classes = [Operations]
    id_field, query_url = "sku", "/api/queries/products/"

    def command(self, sku: str) -> DelistProduct:
        known(PRODUCT.category, sku)
        return DelistProduct(sku)
