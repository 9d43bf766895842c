"""Pages whose personal data is masked until an authorised operator gives a reason; the reveal is
recorded before the data is shown."""

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
    """hides: whether its pages may contain personal data."""

    hides = True

    def find(self, request: HttpRequest, key: str) -> Any:
        """The row with this key, which is the last part of the page's address; or None."""
        return self.get_object(request, key)

    def subject_of(self, row: Any) -> str:
        """The subject of operator actions on this row."""
        return f"{self.opts.verbose_name} {row.pk}"

    def address_of(self, row: Any) -> str:
        return self.url_of(row) or links.of(type(row), row.pk)

    def page_links(self, request: HttpRequest, row: Any) -> dict[str, Any]:
        """The context of page_links.html."""
        address, reveal = self.address_of(row), ""
        if self._may_reveal(request):
            reveal = address.removesuffix("change/") + "reveal/"
            # The query selects what the page shows, such as the version of a stream.
            reveal += f"?{request.GET.urlencode()}" if request.GET else ""
        return {
            "page_address": address,
            "actions_address": links.listing("operatoraction", q=self.subject_of(row)),
            "reveal_address": reveal,
            "is_revealed": masking.is_unmasked(request),
        }

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.reveal_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_reveal"
        return [path("<path:object_id>/reveal/", view, name=name), *super().get_urls()]

    def reveal_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self._may_reveal(request):
            raise PermissionDenied
        found = self._find_or_404(request, object_id)
        if request.method != "POST":
            return self._ask_reason(request, found)
        try:
            record(request, self.subject_of(found))
        except audit.ReasonMissing as error:
            return self._ask_reason(request, found, str(error))
        # From here on it is the ordinary page, which accepts GET only.
        request.method = "GET"
        return self.changeform_view(request, object_id)

    @method_decorator(require_safe)
    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: Any = None
    ) -> HttpResponse:
        """Operator actions on the row. Django's own history would be empty: nothing is edited."""
        found = self._find_or_404(request, object_id)
        return HttpResponseRedirect(links.listing("operatoraction", q=self.subject_of(found)))

    def render_change_form(
        self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any
    ) -> HttpResponse:
        """Used by pages with Django's own layout."""
        context |= self.page_links(request, context["original"])
        return super().render_change_form(request, context, *args, **kwargs)

    def _find_or_404(self, request: HttpRequest, object_id: str) -> Any:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.find(request, unquote(object_id))
        if found is None:
            raise Http404
        return found

    def _may_reveal(self, request: HttpRequest) -> bool:
        return self.hides and masking.may_unmask(request)

    def _ask_reason(self, request: HttpRequest, found: Any, error: str = "") -> HttpResponse:
        ours = {"opts": self.opts, "subtitle": self.subject_of(found)}
        context = self.admin_site.each_context(request) | ours
        return ask_reason(request, context, back=self.address_of(found), error=error)


def record(request: HttpRequest, subject: str) -> None:
    """Record the reveal, then unmask the request. Raises audit.ReasonMissing."""
    reason = request.POST.get("reason", "").replace("\x00", "")
    personal_data.reveal(
        request.user.get_username(),
        subject,
        reason=reason,
        details={"page": request.get_full_path()},
    )
    masking.unmask(request)


def ask_reason(
    request: HttpRequest, context: dict[str, Any], *, back: str, error: str
) -> HttpResponse:
    ours = {"title": "Reveal personal data", "back": back, "error": error}
    status = 409 if error else 200
    return TemplateResponse(request, "admin/eventstore/reveal.html", context | ours, status=status)
