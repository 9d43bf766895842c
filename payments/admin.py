"""Payments in the admin, read-only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from eventstore.console import formatting, read_models
from eventstore.console.read_models import WHERE_IT_STANDS, ReadModelAdmin
from eventstore.console.read_only import ChoiceFilter

from .models import PaymentView

STATUSES = (
    "REQUESTED",
    "COMPLETED",
    "FAILED",
    "PARTLY_REFUNDED",
    "REFUNDING",
    "REFUNDED",
    "VOIDED",
    "DISPUTED",
    "CHARGED_BACK",
)


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = STATUSES


@admin.register(PaymentView)
class PaymentAdmin(ReadModelAdmin):
    list_display = ("number", "status", "asked", "given_back", "method", "reason")
    list_filter = (StatusFilter,)
    ordering = ("-created_at", "-order_id")
    search_help_text = "The whole id of an order."
    fields = (
        "order_id",
        "status",
        "asked",
        "given_back",
        "method",
        "reference",
        "reason",
        *WHERE_IT_STANDS,
    )

    @admin.display(description="order")
    def number(self, payment: PaymentView) -> SafeString:
        return formatting.short(payment.order_id)

    @admin.display(description="amount")
    def asked(self, payment: PaymentView) -> str:
        return read_models.money(payment.amount, payment)

    @admin.display(description="refunded")
    def given_back(self, payment: PaymentView) -> str:
        return read_models.money(payment.refunded, payment)
