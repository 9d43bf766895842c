"""Webhooks: the endpoints, the deliveries to each with every attempt, and what operators may do."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from eventstore.aggregate import CommandRejected
from eventstore.console import formatting, links, masking
from eventstore.console.actions import Act, ActingAdmin, Choice
from eventstore.console.read_only import ChoiceFilter
from eventstore.log import audit, search
from eventstore.models import WebhookDelivery, WebhookEndpoint
from eventstore.operations import webhooks
from eventstore.webhooks import addresses, endpoints, overview
from eventstore.webhooks.addresses import AddressRefused
from eventstore.webhooks.deliveries import NoSuchDelivery
from eventstore.webhooks.endpoints import Form, NoSuchEndpoint, UnknownTypes

LEVELS = {
    "enabled": "good",
    "disabled": "bad",
    "waiting": "waiting",
    "leased": "waiting",
    "delivered": "good",
    "failed": "bad",
}
# Attempts and deliveries that a page shows.
SHOWN = 100


class RegistrationForm(forms.Form):
    account = forms.CharField(max_length=150, label="Name of the account that owns it")
    url = forms.CharField(max_length=addresses.LONGEST, label="Address, https://…")
    types = forms.MultipleChoiceField(label="Types of events; * for all")
    orders = forms.ChoiceField(
        choices=[("own", "those of the account"), ("all", "all, if the account may see them")],
        label="Events of which orders",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        known = (endpoints.ALL_TYPES, *endpoints.known_types())
        self.fields["types"] = forms.MultipleChoiceField(
            choices=[(each, each) for each in known], label="Types of events; * for all"
        )


class StatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = (endpoints.ENABLED, endpoints.DISABLED)


class DeliveryStatusFilter(ChoiceFilter):
    title = parameter_name = "status"
    values = WebhookDelivery.Status.values


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ActingAdmin):
    list_display = ("sent_to", "state", "owner", "waiting", "failures", "last_success", "problem")
    narrow = 2
    list_filter = (StatusFilter,)
    search_fields = ("owner",)
    search_help_text = "The whole id of the account that owns it."
    ordering = ("-id",)
    sorted_by = ("status",)
    nothing = "No webhook endpoints."
    page_template = "admin/eventstore/webhook_endpoint.html"
    refusals = (
        audit.ReasonMissing,
        AddressRefused,
        UnknownTypes,
        CommandRejected,
        NoSuchEndpoint,
        webhooks.NoSuchAccount,
    )
    acts = {
        "register": Act(
            "Register an endpoint",
            "Events that happen from now on are sent to the address. The next page shows the secret"
            " that signs them, once.",
        ),
        "rotate": Act(
            "Rotate the secret",
            "The next page shows a new secret, once. Requests are signed with the former one as"
            " well for some time.",
        ),
        "disable": Act(
            "Disable",
            "Nothing is sent to the endpoint. Events while it is disabled are never sent to it.",
        ),
        "enable": Act("Enable", "Deliveries that wait are sent, if they are not too old."),
        "delete": Act("Delete", "The endpoint and its deliveries are deleted.", is_final=True),
    }

    def get_queryset(self, request: HttpRequest | None) -> QuerySet[WebhookEndpoint]:
        return WebhookEndpoint.objects.exclude(status=endpoints.DELETED)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[WebhookEndpoint], search_term: str
    ) -> tuple[QuerySet[WebhookEndpoint], bool]:
        term = search_term.strip().replace("\x00", "")
        return (queryset.filter(owner=term) if term else queryset), False

    def found_by(
        self, request: HttpRequest, terms: Sequence[str]
    ) -> Iterable[QuerySet[WebhookEndpoint]]:
        if by_id := search.uuid(terms[0]):
            yield self.get_queryset(request).filter(id=by_id)
        yield self.get_queryset(request).filter(owner=terms[0])

    def choose(self, request: HttpRequest, act: str) -> Choice:
        if act == "register":
            return self._to_register(request)
        found = self.asked_about(request)
        return Choice(
            subject=webhooks.subject(found.pk),
            things=[str(found.pk)],
            shown=[found.url],
            perform=lambda who, reason: _perform(request, act, found.pk, who, reason),
            back=links.listing("webhookendpoint")
            if act == "delete"
            else links.page("webhookendpoint", found.pk),
        )

    def act_view(self, request: HttpRequest, act: str) -> HttpResponse:
        response = super().act_view(request, act)
        endpoint = getattr(request, "new_secret_of", None)
        if endpoint is None:
            return response
        # Shown in this response only: it is stored nowhere.
        context = self.admin_site.each_context(request) | {
            "title": "The secret of the endpoint",
            "subtitle": str(endpoint.pk),
            "opts": self.opts,
            "secret": endpoints.secret_of(endpoint),
            "back": links.page("webhookendpoint", endpoint.pk),
        }
        shown = TemplateResponse(request, "admin/eventstore/webhook_secret.html", context)
        shown["Cache-Control"] = "no-store"
        return shown

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        buttons = self.buttons(request, ("register",))
        return super().changelist_view(request, {"buttons": buttons} | (extra_context or {}))

    def page(self, request: HttpRequest, found: WebhookEndpoint) -> dict[str, Any]:
        newest = overview.with_messages(found.deliveries.all())
        able = "disable" if found.status == endpoints.ENABLED else "enable"
        return {
            "title": "Webhook endpoint",
            "state": self.state(found),
            "deliveries": newest.order_by("-id")[:SHOWN],
            "buttons": self.buttons(request, (able, "rotate", "delete"), id=found.pk),
        }

    def subject_of(self, row: WebhookEndpoint) -> str:
        return webhooks.subject(row.pk)

    def _to_register(self, request: HttpRequest) -> Choice:
        form = RegistrationForm(request.POST or None)

        def perform(who: str, reason: str) -> str:
            said = form.cleaned_data
            id_ = webhooks.register(
                said["account"],
                Form(said["url"].strip(), said["types"]),
                is_for_all=said["orders"] == "all",
                who=who,
                reason=reason,
            )
            _show_secret(request, id_)
            return f"Registered: {id_}."

        return Choice(
            subject="a new webhook endpoint",
            things=["register"],
            shown=["a new endpoint"],
            perform=perform,
            back=links.listing("webhookendpoint"),
            form=form,
        )

    @admin.display(description="address")
    def sent_to(self, row: WebhookEndpoint) -> str:
        return formatting.shortened(row.url)

    @admin.display(description="status")
    def state(self, row: WebhookEndpoint) -> SafeString:
        text = f"{row.status}: {row.disabled_reason}" if row.disabled_reason else row.status
        level = "waiting" if row.failures else LEVELS["enabled"]
        return formatting.badge(text, level if row.status == endpoints.ENABLED else "bad")

    @admin.display(description="waiting")
    def waiting(self, row: WebhookEndpoint) -> int:
        return row.queued

    @admin.display(description="last success")
    def last_success(self, row: WebhookEndpoint) -> SafeString:
        return formatting.time(row.succeeded_at)

    @admin.display(description="last error")
    def problem(self, row: WebhookEndpoint) -> str:
        return formatting.shortened(row.last_error)


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(ActingAdmin):
    list_display = ("id", "event_type", "about", "receiver", "state", "attempts", "due", "problem")
    list_filter = (DeliveryStatusFilter,)
    ordering = ("-id",)
    nothing = "No deliveries."
    page_template = "admin/eventstore/webhook_delivery.html"
    refusals = (audit.ReasonMissing, CommandRejected, NoSuchDelivery)
    acts = {
        "again": Act(
            "Send again",
            "The same message is sent to the endpoint now, with the same webhook-id, whether it was"
            " delivered before or not.",
        ),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[WebhookDelivery]:
        return overview.with_messages(super().get_queryset(request)).prefetch_related("endpoint")

    def choose(self, request: HttpRequest, act: str) -> Choice:
        found = self.asked_about(request)

        def perform(who: str, reason: str) -> str:
            webhooks.send_again(found.endpoint_id, found.pk, who=who, reason=reason)
            return "It is sent again."

        return Choice(
            subject=f"webhook delivery {found.pk}",
            things=[found.pk],
            shown=[f"{found.message.type} to {found.endpoint.url}"],
            perform=perform,
            back=links.page("webhookdelivery", found.pk),
        )

    def page(self, request: HttpRequest, found: WebhookDelivery) -> dict[str, Any]:
        attempts = masking.rows(request, list(found.tries.order_by("-number")[:SHOWN]))
        return {
            "title": "Webhook delivery",
            "state": self.state(found),
            "about": self.about(found),
            "receiver": links.link(
                links.page("webhookendpoint", found.endpoint_id), found.endpoint.url
            ),
            "event": links.event(found.message.position, found.message.position),
            "attempts": attempts,
            "buttons": self.buttons(request, ("again",), id=found.pk),
        }

    def subject_of(self, row: WebhookDelivery) -> str:
        return webhooks.subject(row.endpoint_id)

    @admin.display(description="type")
    def event_type(self, row: WebhookDelivery) -> str:
        return row.message.type

    @admin.display(description="stream")
    def about(self, row: WebhookDelivery) -> SafeString:
        return links.known_stream(row.key)

    @admin.display(description="endpoint")
    def receiver(self, row: WebhookDelivery) -> str:
        return formatting.shortened(row.endpoint.url or "deleted")

    @admin.display(description="status")
    def state(self, row: WebhookDelivery) -> SafeString:
        return formatting.badge(row.status, LEVELS[row.status])

    @admin.display(description="due")
    def due(self, row: WebhookDelivery) -> SafeString:
        return formatting.time(None if row.ended_at else row.due_at)

    @admin.display(description="error")
    def problem(self, row: WebhookDelivery) -> str:
        return formatting.shortened(row.error)


def _perform(request: HttpRequest, act: str, endpoint: UUID, who: str, reason: str) -> str:
    DO[act](endpoint, who=who, reason=reason)
    if act == "rotate":
        _show_secret(request, endpoint)
    return DONE[act]


def _show_secret(request: HttpRequest, endpoint: UUID) -> None:
    """In the response to this request."""
    request.new_secret_of = endpoints.find(endpoint)  # type: ignore[attr-defined]


DO: dict[str, Callable[..., None]] = {
    "disable": webhooks.disable,
    "enable": webhooks.enable,
    "rotate": webhooks.rotate,
    "delete": webhooks.delete,
}
DONE = {
    "disable": "Disabled.",
    "enable": "Enabled.",
    "rotate": "The secret was rotated.",
    "delete": "Deleted.",
}
