"""Orders in the admin: the list, a page for each order, and the actions that its status allows."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from access import accounts
from access.authorization import may_act_for
from eventstore.console import dossier, formatting, links, read_models
from eventstore.console.actions import Act, ActingAdmin, Choice
from eventstore.console.read_models import ReadModelAdmin
from eventstore.console.read_only import ChoiceFilter, TimeFilter
from orders import customer_service, queries
from orders.models import OrderDetails

from . import forms
from .lines import priced

# may_act_for asks whether a user may act for a customer; staff may for any, also for a guest.
GUEST = ""


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = ("PLACED", "CONFIRMED", "CANCELLED", "REFUNDING", "REFUNDED")


class PlacedFilter(TimeFilter):
    title = "time of the order"

    def narrow(
        self, queryset: QuerySet[Any], since: datetime | None, until: datetime | None
    ) -> QuerySet[Any]:
        if since is not None:
            queryset = queryset.filter(placed_at__gte=since)
        return queryset if until is None else queryset.filter(placed_at__lt=until)


@admin.register(OrderDetails)
class OrderDetailsAdmin(ActingAdmin, ReadModelAdmin):
    list_display = (
        "number",
        "status",
        "sum",
        "placed",
        "reference",
        "customer",
        "payment_status",
        "reservation_status",
        "shipment_status",
        "return_status",
    )
    list_filter = (StatusFilter, PlacedFilter)
    list_defer = ("lines", "charges", "address", "announced", "returned")
    ordering = ("-placed_at", "-order_id")
    search_fields = ("order_id", "reference", "customer_id")
    searched_by: ClassVar[dict[str, tuple[str, ...]]] = {
        "reference": ("-placed_at", "-order_id"),
        "customer_id": ("-placed_at", "-order_id"),
    }
    is_found_by_its_end = True
    search_help_text = (
        "The id of an order or its last characters, an invoice number, the id of a customer, or the"
        " name of an account."
    )
    page_template = "admin/orders/order.html"
    refusals = customer_service.REFUSALS
    acts = {
        "cancel": Act(
            "Cancel the order",
            "Its saga undoes parcel, stock and payment.",
            "The order's page shows each undo step, and what is pending.",
            is_final=True,
        ),
        "return": Act(
            "Request a return",
            "Goods are restocked and refunded once they arrive; charges are refunded at once.",
            "Operations receives the goods on the return's page.",
        ),
    }

    def values_of(self, term: str) -> Mapping[str, Sequence[str]]:
        return {"reference": [term], "customer_id": accounts.customer_ids(term)}

    def may_act(self, request: HttpRequest) -> bool:
        """As in the API: staff who may act for customers."""
        return self.has_view_permission(request) and may_act_for(request.user, GUEST)

    def choose(self, request: HttpRequest, word: str) -> Choice:
        found = self.asked_about(request)
        if word == "return":
            return self._to_return(request, found)

        def cancel(who: str, reason: str) -> str:
            customer_service.cancel(found.order_id, who=who, reason=reason)
            return "The order is cancelled; its saga undoes what was done."

        return Choice(
            subject=self.subject_of(found),
            things=[(found.order_id, found.status)] if "cancel" in _open_acts(found) else [],
            shown=[self._describe(found)],
            perform=cancel,
            back=self.page_of(found.order_id),
        )

    def _to_return(self, request: HttpRequest, found: OrderDetails) -> Choice:
        order = customer_service.order(found.order_id)
        form = forms.to_return(order, request.POST or None)

        def request_return(who: str, reason: str) -> str:
            lines, charges = form.portions(forms.LINE), form.portions(forms.CHARGE)
            return_id = customer_service.request_return(
                found.order_id, lines, charges, who=who, reason=reason
            )
            return f"Return {return_id} is requested."

        return Choice(
            subject=self.subject_of(found),
            things=(
                [(found.order_id, sorted(form.fields))]
                if order.status == "confirmed" and form.fields
                else []
            ),
            shown=[self._describe(found)],
            perform=request_return,
            back=self.page_of(found.order_id),
            form=form,
        )

    def _describe(self, found: OrderDetails) -> str:
        called = accounts.names([found.customer_id]).get(found.customer_id, found.customer_id)
        return f"order {found.order_id} of {called}, {read_models.money(found.total, found)}"

    def page(self, request: HttpRequest, found: OrderDetails) -> dict[str, Any]:
        skus = sorted({line["sku"] for line in found.lines})
        stock = ((links.stream(f"stock-{sku}"),) for sku in skus)
        return {
            "title": "Order",
            "account": accounts.names([found.customer_id]).get(found.customer_id, ""),
            "total": self.sum(found),
            "refunded": read_models.money(found.refunded, found),
            "goods": priced("SKU", "sku", found.lines, found),
            "charges": priced("Code", "code", found.charges, found) if found.charges else "",
            "stock": format_html_join("", "<li>{}</li>", stock) or formatting.NOTHING,
            "address": read_models.address(found.address),
            "returns": queries.list_order_returns(found.order_id),
            "dossier": dossier.about(request, found.order_id),
            "buttons": self.buttons(request, _open_acts(found), id=found.order_id),
        }

    def subject_of(self, row: OrderDetails) -> str:
        return f"order {row.order_id}"

    def page_of(self, order_id: str) -> str:
        return links.of(OrderDetails, order_id)

    @admin.display(description="order")
    def number(self, order: OrderDetails) -> SafeString:
        return formatting.short(order.order_id)

    @admin.display(description="customer")
    def customer(self, order: OrderDetails) -> SafeString:
        return formatting.short(order.customer_id)

    @admin.display(description="placed")
    def placed(self, order: OrderDetails) -> SafeString:
        return formatting.to_the_minute(order.placed_at)

    @admin.display(description="total")
    def sum(self, order: OrderDetails) -> str:
        return read_models.money(order.total, order)


def _open_acts(order: OrderDetails) -> Sequence[str]:
    """The actions that the status allows."""
    return {"PLACED": ("cancel",), "CONFIRMED": ("return",)}.get(order.status, ())
