"""manage.py browse LIST [KEY]: any list of the console, and any row of it, without a browser."""

from html import unescape
from typing import Any

from django.contrib import admin
from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import lookup_field
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db.models import Model
from django.http import HttpRequest, QueryDict
from django.utils.html import strip_tags

from eventstore import codec
from eventstore.console import masking
from eventstore.console.reveal import RevealingAdmin
from eventstore.management import reveal


class Command(BaseCommand):
    help = (
        "Show a page of any list of the console with its own search and filters, or one row whole."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "list", help="such as event, stream, parked, sagastate; a wrong name lists all"
        )
        parser.add_argument("key", nargs="?", help="of one row")
        parser.add_argument(
            "--search", default="", metavar="TERM", help="as in the list's own field"
        )
        parser.add_argument(
            "--filter", action="append", default=[], metavar="NAME=VALUE", help="as in its address"
        )
        parser.add_argument("--page", type=int, default=1)
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        registered = _registered(options["list"])
        told = (
            _one(registered, options) if options["key"] is not None else _page(registered, options)
        )
        if options["json"]:
            self.stdout.write(codec.encode_json(told).decode())
            return
        for row in told if isinstance(told, list) else [told]:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in row.items()) + "\n")


def _registered(name: str) -> RevealingAdmin:
    known = {
        str(model._meta.model_name): registered
        for model, registered in admin.site._registry.items()
        if isinstance(registered, RevealingAdmin)
    }
    if name not in known:
        raise CommandError(
            f"{name!r} is no list of the console. There are: {', '.join(sorted(known))}."
        )
    return known[name]


def _one(registered: RevealingAdmin, options: dict[str, Any]) -> dict[str, Any]:
    key, request = options["key"], _request("")
    found = None if "\x00" in key else registered.find(request, key)
    if found is None:
        raise CommandError(f"{options['list']} has no {key!r}.")
    if reveal.is_revealed(options, f"browse {options['list']} {key}", registered.subject_of(found)):
        masking.unmask(request)
        found = registered.find(request, key)
    (row,) = masking.rows(request, [found])
    return _fields(row)


def _page(registered: RevealingAdmin, options: dict[str, Any]) -> list[dict[str, Any]]:
    if options["reveal"] is not None:
        raise CommandError("One row is revealed at a time: say which.")
    request = _request(options["search"], page=options["page"], filters=options["filter"])
    try:
        rows = registered.get_changelist_instance(request).result_list
    except (IncorrectLookupParameters, DisallowedModelAdminLookup) as error:
        raise CommandError(
            f"The list has no such filter, or it takes no such value. {error}"
        ) from error
    return [_fields(row) | _columns(registered, row) for row in rows]


def _request(search: str, *, page: int = 1, filters: list[str] | None = None) -> HttpRequest:
    request, asked = HttpRequest(), QueryDict(mutable=True)
    asked["q"], asked["p"] = search, str(page)
    for each in filters or []:
        name, _, value = each.partition("=")
        asked[name] = value
    request.method, request.GET = "GET", asked  # type: ignore[assignment]
    return request


def _fields(row: Model) -> dict[str, Any]:
    """Those that were read; a list leaves out what is long."""
    return {
        field.name: row.__dict__[field.attname]
        for field in row._meta.concrete_fields
        if field.attname in row.__dict__
    }


def _columns(registered: RevealingAdmin, row: Model) -> dict[str, str]:
    """What the list shows beside the row's own fields, as text."""
    fields = {field.name for field in row._meta.concrete_fields}
    ours = [
        name for name in registered.list_display if isinstance(name, str) and name not in fields
    ]
    return {name: _text(lookup_field(name, row, registered)[2]) for name in ours}


def _text(shown: object) -> str:
    # A plain text again, where Django's was marked as safe.
    return "".join([unescape(strip_tags(str(shown)))])
