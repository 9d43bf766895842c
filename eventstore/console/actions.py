"""Acting by hand: a page says what will be done to how many, asks why, and on a yes does it and
writes it down."""

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
from django.utils.safestring import SafeString
from django.views.decorators.http import require_http_methods

from eventstore.log import audit

from .detail import PageAdmin

OPERATE = "eventstore.operate"

SHOWN = 20


class Act(NamedTuple):
    """What a person may do. label: on the button. meaning: a sentence for who has never done it."""

    label: str
    meaning: str


class Choice(NamedTuple):
    """What an act is about to be done to.

    things: each of them, so that it is noticed when they have become others while somebody thought
    about it. shown: the first SHOWN of them at least, for people. perform: (who, reason) -> what
    was done, in a sentence. back: where to then. form: what else has to be said, bound to what was
    sent; perform reads what it has cleaned.
    """

    subject: str
    things: Sequence[object]
    shown: Sequence[SafeString | str]
    perform: Callable[[str, str], str]
    back: str
    form: forms.Form | None = None

    @property
    def seal(self) -> str:
        return sha256(repr(list(self.things)).encode()).hexdigest()


class Button(NamedTuple):
    label: str
    address: str


def may_operate(request: HttpRequest) -> bool:
    return bool(request.user.has_perm(OPERATE))


@method_decorator(require_http_methods(["GET", "HEAD", "POST"]), name="act_view")
class ActingAdmin(PageAdmin):
    """acts: what there is to do, by the word in the address. refusals: the errors whose sentence
    the person is told."""

    acts: Mapping[str, Act]
    refusals: tuple[type[Exception], ...] = (audit.ReasonMissing,)

    def choose(self, request: HttpRequest, word: str) -> Choice:
        """What the address names. Raises Http404 when it names nothing."""
        raise NotImplementedError

    def asked_about(self, request: HttpRequest) -> Any:
        """The row that the address names by its id. Raises Http404."""
        found = self.get_object(request, request.GET.get("id", ""))
        if found is None:
            raise Http404
        return found

    def may_act(self, request: HttpRequest) -> bool:
        return may_operate(request) and self.has_view_permission(request)

    def buttons(
        self, request: HttpRequest, words: Sequence[str], about: str = "", **chosen: object
    ) -> list[Button]:
        """Empty for whom it is not."""
        if not self.may_act(request):
            return []
        return [
            Button(f"{self.acts[word].label}{about}", self.address(word, **chosen))
            for word in words
        ]

    def address(self, word: str, **chosen: object) -> str:
        return f"{reverse(f'admin:{self._act_name}', args=[word])}?{urlencode(chosen)}"

    def get_urls(self) -> list[URLPattern]:
        act = path(
            "act/<slug:word>/", self.admin_site.admin_view(self.act_view), name=self._act_name
        )
        return [act, *super().get_urls()]

    def act_view(self, request: HttpRequest, word: str) -> HttpResponse:
        if not self.may_act(request):
            raise PermissionDenied
        if word not in self.acts:
            raise Http404
        choice = self.choose(request, word)
        trouble = self._attempt(request, choice) if request.method == "POST" else ""
        if request.method == "POST" and not trouble:
            return HttpResponseRedirect(choice.back)
        return self._asked(request, self.acts[word], choice, trouble)

    @property
    def _act_name(self) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_act"

    def _attempt(self, request: HttpRequest, choice: Choice) -> str:
        """Why it was not done; nothing when it was."""
        if not choice.things or request.POST.get("seal") != choice.seal:
            return (
                "What this is about has changed since you looked. Look again, and say again that"
                " you want it."
            )
        if choice.form is not None and not choice.form.is_valid():
            return "It cannot be done as you have filled it in; what is wrong stands beside it."
        try:
            reason = audit.require_reason(request.POST.get("reason", "").replace("\x00", ""))
            done = choice.perform(request.user.get_username(), reason)
        except self.refusals as error:
            return str(error)
        messages.success(request, done)
        return ""

    def _asked(self, request: HttpRequest, act: Act, choice: Choice, trouble: str) -> HttpResponse:
        context: dict[str, Any] = self.admin_site.each_context(request) | {
            "title": act.label,
            "subtitle": choice.subject,
            "opts": self.opts,
            "act": act,
            "choice": choice,
            "count": len(choice.things),
            "shown": choice.shown[:SHOWN],
            "more": max(0, len(choice.things) - SHOWN),
            "trouble": trouble,
            "reason": request.POST.get("reason", ""),
        }
        return TemplateResponse(
            request, "admin/eventstore/act.html", context, status=409 if trouble else 200
        )
