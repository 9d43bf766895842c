"""Bookings and the catalogue in the admin, read-only."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.utils.safestring import SafeString

from eventstore.console import formatting, read_models
from eventstore.console.read_models import WHERE_IT_STANDS, ReadModelAdmin
from eventstore.console.read_only import ChoiceFilter
from orders.models import BookingView, ProductView

from .lines import priced


class ExceptionsFilter(ChoiceFilter):
    title = parameter_name = "exceptions"
    values = ("yes",)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(has_no_sale=True)


@admin.register(BookingView)
class BookingAdmin(ReadModelAdmin):
    list_display = (
        "number",
        "kind",
        "sum",
        "reference",
        "customer",
        "has_no_sale",
        "booked",
    )
    list_defer = ("lines", "charges")
    list_filter = (ExceptionsFilter,)
    ordering = ("-booking_id",)
    search_fields = ("booking_id", "reference")
    searched_by: ClassVar[dict[str, tuple[str, ...]]] = {"reference": ("booking_id",)}
    search_help_text = "The whole id of a booking, or its reference."
    fields = (
        "booking_id",
        "kind",
        "customer_id",
        "reference",
        "reason",
        "goods",
        "charged",
        "has_no_sale",
        "sum",
        "booked_at",
        *WHERE_IT_STANDS,
    )

    @admin.display(description="booking")
    def number(self, booking: BookingView) -> SafeString:
        return formatting.short(booking.booking_id)

    @admin.display(description="customer")
    def customer(self, booking: BookingView) -> SafeString:
        return formatting.short(booking.customer_id)

    @admin.display(description="booked")
    def booked(self, booking: BookingView) -> SafeString:
        return formatting.to_the_minute(booking.booked_at)

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
