"""Operator actions: a confirmation page lists the targets and asks for a reason; a POST performs
the action and records it."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods

from eventstore.log import audit

from . import formatting
from .detail import PageAdmin

OPERATE = "eventstore.operate"

# A confirmation page lists so many targets and counts the rest.
SHOWN = 20


class Act(NamedTuple):
    """An action of a page. label: text of its button. meaning: one sentence that explains the
    action to a new operator. after: what to do next. is_final: it cannot be undone."""

    label: str
    meaning: str
    after: str = ""
    is_final: bool = False


class Choice(NamedTuple):
    """The targets of an action.

    things: every target; a POST is rejected if they differ from those of the confirmation page.
    shown: text of at least the first SHOWN targets. perform: (who, reason) -> the message that the
    operator gets. back: address to return to. form: further input, bound to the POST data; perform
    reads its cleaned data. follow: links to where the operator continues.
    """

    subject: str
    things: Sequence[object]
    shown: Sequence[SafeString | str]
    perform: Callable[[str, str], str]
    back: str
    form: forms.Form | None = None
    follow: SafeString = formatting.EMPTY

    @property
    def digest(self) -> str:
        """Identifies the targets that a confirmation page showed, and what had been done to them by
        hand until then: a form from before a pause and a resume is rejected."""
        shown = [*self.things, audit.last_of(self.subject)]
        return sha256(repr(shown).encode()).hexdigest()


class Button(NamedTuple):
    label: str
    address: str


def may_operate(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(OPERATE))


@method_decorator(require_http_methods(["GET", "HEAD", "POST"]), name="act_view")
class ActingAdmin(PageAdmin):
    """acts: the actions by the name in their address. refusals: errors that reject an action; the
    page shows their message."""

    acts: Mapping[str, Act]
    refusals: tuple[type[Exception], ...] = (audit.ReasonMissing,)

    def choose(self, request: HttpRequest, act: str) -> Choice:
        """The targets that the address selects. Raises Http404 for an invalid selection."""
        raise NotImplementedError

    def asked_about(self, request: HttpRequest) -> Any:
        """The row with the id in the address. Raises Http404."""
        found = self.get_object(request, request.GET.get("id", ""))
        if found is None:
            raise Http404
        return found

    def may_act(self, request: HttpRequest) -> bool:
        return may_operate(request) and self.has_view_permission(request)

    def buttons(
        self, request: HttpRequest, acts: Sequence[str], suffix: str = "", **query: object
    ) -> list[Button]:
        """Buttons for these actions; none without permission."""
        if not self.may_act(request):
            return []
        return [
            Button(f"{self.acts[act].label}{suffix}", self.address(act, **query)) for act in acts
        ]

    def address(self, act: str, **query: object) -> str:
        return f"{reverse(f'admin:{self._act_view_name}', args=[act])}?{urlencode(query)}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.act_view)
        return [path("act/<slug:act>/", view, name=self._act_view_name), *super().get_urls()]

    def act_view(self, request: HttpRequest, act: str) -> HttpResponse:
        if not self.may_act(request):
            raise PermissionDenied
        if act not in self.acts:
            raise Http404
        choice, error = self.choose(request, act), ""
        if request.method == "POST":
            if not choice.things or request.POST.get("digest") != choice.digest:
                error = (
                    "The selection has changed since you opened this page. Check and confirm again."
                )
            elif choice.form is not None and not choice.form.is_valid():
                error = "Invalid input. See the messages beside the fields."
            else:
                try:
                    reason = audit.require_reason(
                        request.POST.get("reason", "").replace("\x00", "")
                    )
                    done = choice.perform(request.user.get_username(), reason)
                except self.refusals as refusal:
                    error = str(refusal)
                else:
                    text = format_html("{} {} {}", done, self.acts[act].after, choice.follow)
                    messages.success(request, text)
                    return HttpResponseRedirect(choice.back)
        context: dict[str, Any] = self.admin_site.each_context(request) | {
            "title": self.acts[act].label,
            "subtitle": choice.subject,
            "opts": self.opts,
            "act": self.acts[act],
            "choice": choice,
            "count": len(choice.things),
            "shown": choice.shown[:SHOWN],
            "more": max(0, len(choice.things) - SHOWN),
            "error": error,
            "reason": request.POST.get("reason", ""),
        }
        status = 409 if error else 200
        return TemplateResponse(request, "admin/eventstore/act.html", context, status=status)

    @property
    def _act_view_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_act"
