"""Files to take away: with personal data hidden for whoever sees the page, with all of it for a
reason."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from eventstore.log import audit

from . import masking
from .reveal import asked_why, record


class Export(NamedTuple):
    """What there is to take away. what: name and value of what it is of. address: of the file.
    preview: of a short one.

    subject: under which a reveal of it is written down. back: the page that led here. trouble: why
    there is no file.
    """

    title: str
    subject: str
    what: Sequence[tuple[str, object]]
    address: str
    back: str
    preview: str = ""
    trouble: str = ""


def page(request: HttpRequest, context: dict[str, Any], export: Export) -> HttpResponse:
    ours = {
        "title": export.title,
        "subtitle": export.subject,
        "export": export,
        "may_reveal": masking.may_unmask(request),
    }
    return TemplateResponse(request, "admin/eventstore/export.html", context | ours)


def file(
    request: HttpRequest,
    context: dict[str, Any],
    export: Export,
    make: Callable[[bool], HttpResponseBase],
) -> HttpResponseBase:
    """GET: what is personal is hidden. POST: it is revealed. make: (revealed) -> the file."""
    if request.method == "POST":
        if not masking.may_unmask(request):
            raise PermissionDenied
        try:
            record(request, export.subject)
        except audit.ReasonMissing as error:
            return asked_why(
                request, context | {"subtitle": export.title}, back=export.back, trouble=str(error)
            )
    return make(masking.is_unmasked(request))
