"""Pages whose personal data is hidden until somebody who may see it says why; who did is written
down first."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_http_methods, require_safe

from eventstore.log import audit
from eventstore.privacy import personal_data

from . import links, masking
from .read_only import ReadOnlyAdmin


@method_decorator(require_http_methods(["GET", "HEAD", "POST"]), name="reveal_view")
class RevealingAdmin(ReadOnlyAdmin):
    """hides: whether a page may have anything personal on it."""

    hides = True

    def find(self, request: HttpRequest, key: str) -> Any:
        """What the last part of the address means; None for nothing."""
        return self.get_object(request, key)

    def subject_of(self, row: Any) -> str:
        """Under what name acts on it are written down."""
        return f"{self.opts.verbose_name} {row.pk}"

    def address_of(self, row: Any) -> str:
        return self.url_of(row) or links.of(type(row), row.pk)

    def beside(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """What every page leads to."""
        address = self.address_of(row)
        return {
            "page_address": address,
            "acts_address": links.listing("operatoraction", q=self.subject_of(row)),
            "reveal_address": self._reveal_address(request, address)
            if self._may_reveal(request)
            else "",
            "is_revealed": masking.is_unmasked(request),
        }

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reveal_view)
        return [
            path("<path:object_id>/reveal/", view, name=self._name("reveal")),
            *super().get_urls(),
        ]

    def reveal_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self._may_reveal(request) or not self.has_view_permission(request):
            raise PermissionDenied
        found = self._named(request, object_id)
        if found is None:
            raise Http404
        if request.method != "POST":
            return self._asked_why(request, found)
        try:
            record(request, self.subject_of(found))
        except audit.ReasonMissing as error:
            return self._asked_why(request, found, str(error))
        # From here on it is the page as ever, which is only looked at.
        request.method = "GET"
        return self.changeform_view(request, object_id)

    @method_decorator(require_safe)
    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Nothing is changed here, so Django's own would be empty for ever; what was done by hand
        is the history."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self._named(request, object_id)
        if found is None:
            raise Http404
        return HttpResponseRedirect(links.listing("operatoraction", q=self.subject_of(found)))

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Of those that Django lays out itself."""
        return super().render_change_form(
            request, context | self.beside(request, context["original"]), *args, **kwargs
        )

    def _named(self, request: HttpRequest, object_id: str) -> Any:
        key = unquote(object_id)
        return None if "\x00" in key else self.find(request, key)

    def _may_reveal(self, request: HttpRequest) -> bool:
        return self.hides and masking.may_unmask(request)

    def _name(self, view: str) -> str:
        return f"{self.opts.app_label}_{self.opts.model_name}_{view}"

    def _reveal_address(self, request: HttpRequest, address: str) -> str:
        """What the page shows is told by its query."""
        reveal = address.removesuffix("change/") + "reveal/"
        return f"{reveal}?{request.GET.urlencode()}" if request.GET else reveal

    def _asked_why(self, request: HttpRequest, found: Any, trouble: str = "") -> HttpResponse:
        context = self.admin_site.each_context(request) | {
            "opts": self.opts,
            "subtitle": self.subject_of(found),
        }
        return asked_why(request, context, back=self.address_of(found), trouble=trouble)


def record(request: HttpRequest, subject: str) -> None:
    """Before anything is seen. Raises audit.ReasonMissing."""
    reason = request.POST.get("reason", "").replace("\x00", "")
    personal_data.reveal(
        request.user.get_username(),
        subject,
        reason=reason,
        details={"page": request.get_full_path()},
    )
    masking.unmask(request)


def asked_why(
    request: HttpRequest, context: dict[str, Any], *, back: str, trouble: str
) -> HttpResponse:
    ours = {"title": "Reveal personal data", "back": back, "trouble": trouble}
    return TemplateResponse(
        request, "admin/eventstore/reveal.html", context | ours, status=409 if trouble else 200
    )
