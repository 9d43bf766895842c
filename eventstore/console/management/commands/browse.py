"""manage.py browse LIST [KEY]: a list of the console, or one row of it."""

from html import unescape
from typing import Any

from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import lookup_field
from django.core.management.base import CommandError, CommandParser
from django.db.models import Model
from django.http import HttpRequest, QueryDict
from django.utils.html import strip_tags

from eventstore import codec
from eventstore.console import masking
from eventstore.console.reveal import RevealingAdmin
from eventstore.management import output, reveal
from eventstore.management.command import EscapingCommand


class Command(EscapingCommand):
    help = "Show one page of a list of the console, searched and filtered, or one row in full."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "list", help="such as event, stream, parked or sagastate; an unknown name lists all"
        )
        parser.add_argument("key", nargs="?", help="key of a row")
        parser.add_argument(
            "--search", default="", metavar="TERM", help="as in the list's search field"
        )
        parser.add_argument(
            "--filter",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="as in the list's address",
        )
        parser.add_argument("--page", type=int, default=1)
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        pages = [page for page in admin.site._registry.values() if isinstance(page, RevealingAdmin)]
        known = {str(page.opts.model_name): page for page in pages}
        registered = known.get(options["list"])
        if registered is None:
            names = ", ".join(sorted(known))
            raise CommandError(f"Unknown list {options['list']!r}. Known lists: {names}.")
        is_list = options["key"] is None
        found = _page(registered, options) if is_list else [_row(registered, options)]
        if options["json"]:
            self.stdout.write(codec.encode_json(found if is_list else found[0]).decode())
            return
        for row in found:
            self.stdout.write(_lines(row))


def _lines(row: dict[str, Any]) -> str:
    return "".join(f"{name}: {output.in_a_line(value)}\n" for name, value in row.items())


def _row(registered: RevealingAdmin, options: dict[str, Any]) -> dict[str, Any]:
    key, request = options["key"], _request("")
    found = registered.find(request, key)
    if found is None:
        raise CommandError(f"No row {key!r} in {options['list']}.")
    if reveal.is_revealed(options, f"browse {options['list']} {key}", registered.subject_of(found)):
        masking.unmask(request)
        found = registered.find(request, key)
    (row,) = masking.rows(request, [found])
    return _fields(row)


def _page(registered: RevealingAdmin, options: dict[str, Any]) -> list[dict[str, Any]]:
    if options["reveal"] is not None:
        raise CommandError("--reveal needs a key: personal data is revealed one row at a time.")
    request = _request(options["search"], page=options["page"], filters=options["filter"])
    try:
        rows = registered.get_changelist_instance(request).result_list
    except (IncorrectLookupParameters, DisallowedModelAdminLookup) as error:
        raise CommandError(f"Unknown filter, or invalid value. {error}") from error
    fields = {field.name for field in registered.model._meta.concrete_fields}
    columns = [
        name
        for name in registered.get_list_display(request)
        if isinstance(name, str) and name not in fields
    ]
    found = []
    for row in rows:
        # The computed columns of the list, as plain text. "".join makes a plain str of Django's
        # SafeString, which JSON encoding would not accept.
        computed = {
            name: "".join([unescape(strip_tags(str(lookup_field(name, row, registered)[2])))])
            for name in columns
        }
        found.append(_fields(row) | computed)
    return found


def _request(search: str, *, page: int = 1, filters: list[str] | None = None) -> HttpRequest:
    request, query = HttpRequest(), QueryDict(mutable=True)
    query["q"], query["p"] = search, str(page)
    for each in filters or []:
        name, _, value = each.partition("=")
        query[name] = value
    request.method, request.GET = "GET", query  # type: ignore[assignment]
    return request


def _fields(row: Model) -> dict[str, Any]:
    """The loaded fields; a list defers long ones."""
    return {
        field.name: row.__dict__[field.attname]
        for field in row._meta.concrete_fields
        if field.attname in row.__dict__
    }
