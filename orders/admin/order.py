"""Orders in the admin: the list, a page for each order, and the actions that its status allows."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join

from access import accounts
from access.authorization import may_act_for
from eventstore.console import dossier, formatting, links, read_models
from eventstore.console.actions import Act, ActingAdmin, Choice
from eventstore.console.read_models import ReadModelAdmin
from orders import customer_service, queries
from orders.models import OrderDetails

from . import forms
from .lines import priced

# may_act_for asks whether a user may act for a customer; staff may for any, also for a guest.
GUEST = ""


@admin.register(OrderDetails)
class OrderDetailsAdmin(ActingAdmin, ReadModelAdmin):
    list_display = (
        "order_id",
        "customer_id",
        "status",
        "payment_status",
        "reservation_status",
        "shipment_status",
        "return_status",
        "sum",
    )
    list_defer = ("lines", "charges", "address", "announced", "returned")
    ordering = ("-order_id",)
    search_fields = ("order_id", "customer_id")
    search_help_text = "The whole id of an order or of a customer, or the name of an account."
    page_template = "admin/orders/order.html"
    refusals = customer_service.REFUSALS
    acts = {
        "cancel": Act("Cancel the order", "Its saga undoes parcel, stock and payment."),
        "return": Act(
            "Request a return",
            "Goods are restocked and refunded once they arrive; charges are refunded at once.",
        ),
    }

    def named(self, queryset: QuerySet[Any], term: str) -> QuerySet[Any]:
        found = Q(order_id=term) | Q(customer_id=term)
        if called := accounts.customer_id_called(term):
            found |= Q(customer_id=called)
        return queryset.filter(found)

    def may_act(self, request: HttpRequest) -> bool:
        """As in the API: staff who may act for customers."""
        return self.has_view_permission(request) and may_act_for(request.user, GUEST)

    def choose(self, request: HttpRequest, word: str) -> Choice:
        found = self.asked_about(request)
        return {"cancel": self._to_cancel, "return": self._to_return}[word](request, found)

    def _to_cancel(self, request: HttpRequest, found: OrderDetails) -> Choice:
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

    @admin.display(description="total")
    def sum(self, order: OrderDetails) -> str:
        return read_models.money(order.total, order)


def _open_acts(order: OrderDetails) -> Sequence[str]:
    """The actions that the status allows."""
    return {"PLACED": ("cancel",), "CONFIRMED": ("return",)}.get(order.status, ())
