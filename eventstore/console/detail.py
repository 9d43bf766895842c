"""A page of one row with a template of its own, in place of Django's form."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.decorators import method_decorator
from django.views.decorators.http import require_safe

from . import masking
from .reveal import RevealingAdmin


class PageAdmin(RevealingAdmin):
    """page_template: extends admin/eventstore/page.html."""

    page_template: str

    def page(self, request: HttpRequest, found: Any) -> dict[str, Any]:
        """The template's context for this row."""
        raise NotImplementedError

    @method_decorator(require_safe)
    def changeform_view(
        self,
        request: HttpRequest,
        object_id: Any = None,
        form_url: str = "",
        extra_context: Any = None,
    ) -> HttpResponse:
        if object_id is None or not self.has_view_permission(request):
            raise PermissionDenied
        key = unquote(object_id)
        found = self.find(request, key)
        if found is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, key)  # type: ignore[attr-defined,no-any-return]
        (original,) = masking.rows(request, [found])
        context = self.admin_site.each_context(request) | {
            "title": str(self.opts.verbose_name).capitalize(),
            "subtitle": str(found),
            "opts": self.opts,
            "original": original,
        }
        more = self.page_links(request, original) | self.page(request, original)
        return TemplateResponse(request, self.page_template, context | more)
