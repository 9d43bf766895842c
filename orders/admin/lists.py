"""Returns, bookings and the catalogue, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.utils.safestring import SafeString

from eventstore.admin import read_models
from eventstore.admin.read_models import WHERE_IT_STANDS, ReadModelAdmin
from eventstore.admin.read_only import one_of
from orders.models import BookingView, ProductView, ReturnView

from .lines import priced

RETURN_STATUSES = ("REQUESTED", "RECEIVED", "COMPLETED", "CLOSED")


@admin.register(ReturnView)
class ReturnAdmin(ReadModelAdmin):
    list_display = ("return_id", "order_id", "customer_id", "status", "due", "given_back", "requested_at")
    list_defer = ("lines", "charges")
    list_filter = (one_of("status", "status", lambda: RETURN_STATUSES),)
    ordering = ("-return_id",)
    search_fields = ("return_id", "order_id", "customer_id")
    search_help_text = "The whole id of a return, of an order or of a customer."
    fields = (
        *("return_id", "order_id", "customer_id", "reference", "status", "reason", "goods", "charged"),
        *("due", "given_back", "requested_at", "received_at", *WHERE_IT_STANDS),
    )

    def named(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(Q(return_id=term) | Q(order_id=term) | Q(customer_id=term))

    @admin.display(description="refund")
    def due(self, wanted: ReturnView) -> str:
        return read_models.money(wanted.refund, wanted)

    @admin.display(description="refunded")
    def given_back(self, wanted: ReturnView) -> str:
        return read_models.money(wanted.refunded, wanted)

    @admin.display(description="lines")
    def goods(self, wanted: ReturnView) -> SafeString:
        return _returned("sku", wanted.lines, wanted)

    @admin.display(description="charges")
    def charged(self, wanted: ReturnView) -> SafeString:
        return _returned("code", wanted.charges, wanted)


def _without_sale(bookings: QuerySet[Any], chosen: str) -> QuerySet[Any]:
    return bookings.filter(has_no_sale=True)


@admin.register(BookingView)
class BookingAdmin(ReadModelAdmin):
    list_display = ("booking_id", "kind", "reference", "customer_id", "has_no_sale", "sum", "booked_at")
    list_defer = ("lines", "charges")
    list_filter = (one_of("exceptions", "exceptions", lambda: ("yes",), _without_sale),)
    ordering = ("-booking_id",)
    search_fields = ("booking_id", "reference")
    search_help_text = "The whole id of a booking, or its reference."
    fields = (
        *("booking_id", "kind", "customer_id", "reference", "reason", "goods", "charged", "has_no_sale", "sum"),
        *("booked_at", *WHERE_IT_STANDS),
    )

    def named(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        return queryset.filter(Q(booking_id=term) | Q(reference=term))

    @admin.display(description="amount")
    def sum(self, booking: BookingView) -> str:
        return read_models.money(booking.amount, booking)

    @admin.display(description="lines")
    def goods(self, booking: BookingView) -> SafeString:
        return priced("SKU", "sku", booking.lines, booking)

    @admin.display(description="charges")
    def charged(self, booking: BookingView) -> SafeString:
        return priced("Code", "code", booking.charges, booking)


@admin.register(ProductView)
class ProductAdmin(ReadModelAdmin):
    list_display = ("sku", "name", "costs", "offered")
    ordering = ("sku",)
    search_help_text = "The whole SKU of a product."
    fields = ("sku", "name", "costs", "offered", *WHERE_IT_STANDS)

    @admin.display(description="price")
    def costs(self, product: ProductView) -> str:
        return read_models.money(product.price, product)


def _returned(key: str, lines: list[dict[str, Any]], wanted: ReturnView) -> SafeString:
    return read_models.table(
        ("Number", "What", "Quantity", "Price"),
        (
            (line["number"], line[key], line["quantity"], read_models.money(line["unit_price"], wanted))
            for line in lines
        ),
    )
