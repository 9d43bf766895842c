"""Orders and the catalogue, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.safestring import SafeString

from eventstore.admin import read_models, shown
from eventstore.admin.read_models import WHERE_IT_STANDS, ReadModelAdmin

from .models import OrderDetails, ProductView


@admin.register(OrderDetails)
class OrderDetailsAdmin(ReadModelAdmin):
    list_display = (
        "order_id",
        "customer_id",
        "status",
        "payment_status",
        "reservation_status",
        "shipment_status",
        "sum",
    )
    list_defer = ("lines", "charges", "address")
    ordering = ("-order_id",)
    search_fields = ("order_id", "customer_id")
    search_help_text = "The whole id of an order or of a customer."
    fieldsets = (
        (None, {"fields": ("order_id", "customer_id", "reference", "placed", "status", "reason")}),
        ("Goods", {"fields": ("goods", "charged", "sum")}),
        ("Steps", {"fields": ("payment_status", "reservation_status", "shipment_status", "tracking", "to")}),
        ("Where it comes from", {"fields": ("saga", "correlation", *WHERE_IT_STANDS)}),
    )

    def named(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(Q(order_id=term) | Q(customer_id=term))

    @admin.display(description="total")
    def sum(self, order: OrderDetails) -> str:
        return read_models.money(order.total, order)

    @admin.display(description="placed at")
    def placed(self, order: OrderDetails) -> SafeString:
        return shown.time(order.placed_at)

    @admin.display(description="lines")
    def goods(self, order: OrderDetails) -> SafeString:
        return _priced("SKU", "sku", order.lines, order)

    @admin.display(description="charges")
    def charged(self, order: OrderDetails) -> SafeString:
        return _priced("Code", "code", order.charges, order)

    @admin.display(description="address")
    def to(self, order: OrderDetails) -> SafeString:
        return read_models.address(order.address)


@admin.register(ProductView)
class ProductAdmin(ReadModelAdmin):
    list_display = ("sku", "name", "costs", "offered")
    ordering = ("sku",)
    search_help_text = "The whole SKU of a product."
    fields = ("sku", "name", "costs", "offered", *WHERE_IT_STANDS)

    @admin.display(description="price")
    def costs(self, product: ProductView) -> str:
        return read_models.money(product.price, product)


def _priced(heading: str, key: str, lines: list[dict[str, Any]], order: OrderDetails) -> SafeString:
    return read_models.table(
        (heading, "Name", "Quantity", "Price", "Sum"),
        (
            (
                line[key],
                line["name"],
                line["quantity"],
                read_models.money(line["unit_price"], order),
                read_models.money(line["quantity"] * line["unit_price"], order),
            )
            for line in lines
        ),
    )
