"""Commands of customers (place, cancel), of support and finance (refund), of operations
(catalogue)."""

from typing import Any

from django.core.validators import RegexValidator
from django.utils import timezone
from rest_framework import serializers

from access.authorization import Operations, Refunding, may_act_for
from eventstore.aggregate import stream_name
from eventstore.api.commands import CommandView, known
from eventstore.api.errors import Hidden
from eventstore.api.serializers import Key, MoneyShape, PriceShape, StrictSerializer, Text, Whole
from eventstore.commands import repository
from eventstore.money import Money
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
NO_CARDS = (
    "This looks like a card number. Send it to the payment gateway only, and the gateway's token"
    " here."
)


class ItemShape(StrictSerializer):
    """seen: the unit price that the customer saw; the order is refused if it has changed."""

    makes = Item
    sku = Key()
    quantity = Whole(min_value=1)
    seen = PriceShape(required=False)


class AddressShape(StrictSerializer):
    makes = Address
    name = Text()
    street = Text()
    city = Text()
    postcode = Text(max_length=32, allow_blank=True, default="")
    country = Text(
        max_length=2, validators=[RegexValidator(r"^[A-Z]{2}\Z", "Two capital letters (ISO 3166).")]
    )


class PlaceOrderShape(StrictSerializer):
    """payment_method: the payment gateway's token for the card, never the card number."""

    items = serializers.ListField(child=ItemShape(), min_length=1, max_length=MOST_ITEMS)
    address = AddressShape()
    payment_method = Text(
        validators=[RegexValidator(r"^(?![\d -]{12,}\Z)\s*[^\s\x1c-\x1f\x85]", NO_CARDS)]
    )


class CancelOrderShape(StrictSerializer):
    reason = Text(default="cancelled by the customer")


class RefundOrderShape(StrictSerializer):
    reason = Text()


class ListProductShape(StrictSerializer):
    sku = Key()
    name = Text()
    price = MoneyShape()


class RepriceProductShape(StrictSerializer):
    price = MoneyShape()


class PlaceOrderView(CommandView):
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
    permission_classes = [Operations]
    serializer_class = ListProductShape
    id_field, query_url = "sku", "/api/queries/products/"

    def command(self, sku: str, name: str, price: Money) -> ListProduct:
        return ListProduct(sku, name, price)


class RepriceProductView(CommandView):
    permission_classes = [Operations]
    serializer_class = RepriceProductShape
    id_field, query_url = "sku", "/api/queries/products/"

    def command(self, sku: str, price: Money) -> RepriceProduct:
        known(PRODUCT.category, sku)
        return RepriceProduct(sku, price)


class DelistProductView(CommandView):
    permission_classes = [Operations]
    id_field, query_url = "sku", "/api/queries/products/"

    def command(self, sku: str) -> DelistProduct:
        known(PRODUCT.category, sku)
        return DelistProduct(sku)
