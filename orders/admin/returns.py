"""Returns in the admin: the list, a page for each return, and the actions of operations: receive
the goods, close the return."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django.contrib import admin
from django.http import HttpRequest
from django.utils.safestring import SafeString
from uuid_utils import uuid7

from access import accounts
from access.authorization import is_operations
from eventstore.console import dossier, formatting, links, read_models
from eventstore.console.actions import Act, ActingAdmin, Choice
from eventstore.console.read_models import ReadModelAdmin
from eventstore.console.read_only import ChoiceFilter
from orders import customer_service
from orders.models import OrderDetails, ReturnView

from . import forms


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = ("REQUESTED", "RECEIVED", "COMPLETED", "CLOSED")


@admin.register(ReturnView)
class ReturnAdmin(ActingAdmin, ReadModelAdmin):
    list_display = (
        "number",
        "status",
        "due",
        "of_order",
        "customer",
        "given_back",
        "requested",
    )
    list_defer = ("lines", "charges")
    list_filter = (StatusFilter,)
    ordering = ("-return_id",)
    search_fields = ("return_id", "order_id", "customer_id")
    searched_by: ClassVar[dict[str, tuple[str, ...]]] = {
        "order_id": ("-requested_at", "-return_id"),
        "customer_id": ("-requested_at", "-return_id"),
    }
    is_found_by_its_end = True
    search_help_text = (
        "The id of a return or its last characters, the id of an order or of a customer, or the"
        " name of an account."
    )
    page_template = "admin/orders/return.html"
    refusals = customer_service.REFUSALS
    acts = {
        "receive": Act(
            "Receive the goods",
            "They are restocked and refunded.",
            "This page shows the refund when it is made.",
        ),
        "close": Act(
            "Close the return",
            "Nothing is refunded; the goods may be returned by another return.",
            "Tell the customer, with the reason.",
            is_final=True,
        ),
    }

    def values_of(self, term: str) -> Mapping[str, Sequence[str]]:
        return {"order_id": [term], "customer_id": accounts.customer_ids(term)}

    @admin.display(description="return")
    def number(self, row: ReturnView) -> SafeString:
        return formatting.short(row.return_id)

    @admin.display(description="order")
    def of_order(self, row: ReturnView) -> SafeString:
        return links.link(links.of(OrderDetails, row.order_id), formatting.short(row.order_id))

    @admin.display(description="customer")
    def customer(self, row: ReturnView) -> SafeString:
        return formatting.short(row.customer_id)

    @admin.display(description="requested")
    def requested(self, row: ReturnView) -> SafeString:
        return formatting.to_the_minute(row.requested_at)

    @admin.display(description="refund")
    def due(self, row: ReturnView) -> str:
        return read_models.money(row.refund, row)

    @admin.display(description="refunded")
    def given_back(self, row: ReturnView) -> str:
        return read_models.money(row.refunded, row)

    def may_act(self, request: HttpRequest) -> bool:
        """As in the API: operations."""
        return self.has_view_permission(request) and is_operations(request.user)

    def choose(self, request: HttpRequest, word: str) -> Choice:
        found = self.asked_about(request)
        if word == "receive":
            return self._to_receive(request, found)

        def close(who: str, reason: str) -> str:
            customer_service.close_return(found.return_id, who=who, reason=reason)
            return "The return is closed; nothing is refunded."

        return self._choice(found, close)

    def _to_receive(self, request: HttpRequest, found: ReturnView) -> Choice:
        awaited = customer_service.returned(found.return_id).awaited
        form = forms.to_receive(awaited, request.POST or None)

        def receive(who: str, reason: str) -> str:
            # After each arrival the page is loaded again, so that each submission is another
            # parcel.
            customer_service.receive_return(
                found.return_id,
                form.portions(forms.LINE),
                who=who,
                reason=reason,
                delivery=str(uuid7()),
            )
            return "The goods are received; they are restocked and refunded next."

        choice = self._choice(found, receive)
        still = (
            [(found.return_id, [(line.number, line.quantity) for line in awaited])]
            if awaited
            else []
        )
        return choice._replace(things=still, form=form)

    def _choice(self, found: ReturnView, perform: Callable[[str, str], str]) -> Choice:
        return Choice(
            subject=f"return {found.return_id}",
            things=[(found.return_id, found.status)] if _open_acts(found) else [],
            shown=[f"return {found.return_id} of order {found.order_id}, {self.due(found)}"],
            perform=perform,
            back=links.of(ReturnView, found.return_id),
        )

    def page(self, request: HttpRequest, found: ReturnView) -> dict[str, Any]:
        return {
            "title": "Return",
            "account": accounts.names([found.customer_id]).get(found.customer_id, ""),
            "order": links.of(OrderDetails, found.order_id),
            "due": self.due(found),
            "given_back": self.given_back(found),
            "goods": _table("SKU", "sku", found.lines, found),
            "charges": _table("Code", "code", found.charges, found) if found.charges else "",
            "dossier": dossier.about(request, found.return_id),
            "buttons": self.buttons(request, _open_acts(found), id=found.return_id),
        }


def _open_acts(row: ReturnView) -> Sequence[str]:
    """A return of charges alone awaits no goods. Goods missing in the first parcel may arrive
    later."""
    if row.status == "REQUESTED":
        return ("receive", "close") if row.lines else ()
    return ("receive",) if customer_service.returned(row.return_id).awaited else ()


def _table(heading: str, key: str, lines: list[dict[str, Any]], row: ReturnView) -> SafeString:
    return read_models.table(
        ("Number", heading, "Quantity", "Price"),
        (
            (
                line["number"],
                line[key],
                line["quantity"],
                read_models.money(line["unit_price"], row),
            )
            for line in lines
        ),
    )
