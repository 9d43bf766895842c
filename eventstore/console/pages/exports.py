"""Downloads: with masked personal data for everybody who sees the page, unmasked for a recorded
reason."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.template.response import TemplateResponse

from eventstore.console import masking
from eventstore.console.reveal import ask_reason, record
from eventstore.log import audit


class Export(NamedTuple):
    """A file to download. subject: what a reveal of it is recorded under. what: names and values of
    its contents.

    address: of the file. back: the page that led here. preview: the text of a short file. error:
    why there is no file.
    """

    title: str
    subject: str
    what: Sequence[tuple[str, object]]
    address: str
    back: str
    preview: str = ""
    error: str = ""


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
    """GET gives the file with masked personal data, POST unmasked. make: (revealed) -> the file."""
    if request.method == "POST":
        if not masking.may_unmask(request):
            raise PermissionDenied
        try:
            record(request, export.subject)
        except audit.ReasonMissing as error:
            context = context | {"subtitle": export.title}
            return ask_reason(request, context, back=export.back, error=str(error))
    return make(masking.is_unmasked(request))
