"""manage.py dossier ID: everything about one id, as on an order's page."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.core.management.base import CommandError, CommandParser
from django.http import HttpRequest

from eventstore import codec
from eventstore.console import dossier, finding, masking
from eventstore.console.read_models import ReadModelAdmin
from eventstore.log import search
from eventstore.management import output, reveal
from eventstore.management.command import EscapingCommand
from eventstore.models import Stream

# Fields of a saga, of a parked message and of an event.
PROCESS = ("saga", "key", "status", "position", "updated_at", "deadline_at")
PARKED = ("subscription", "position", "key", "status", "attempts", "error")
EVENT = ("position", "recorded_at", "stream", "version", "type", "data")


class Command(EscapingCommand):
    help = (
        "Show the streams of an id with their states, its sagas, its pending and parked messages,"
        " and its events."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "id",
            help="the identity in the streams' names, such as an order's id; or what a list of the"
            " console finds by it alone, such as an invoice number",
        )
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        identity, request = _identity(options["id"]), HttpRequest()
        # The dossier asks for permissions to offer buttons; a command offers none.
        request.user = AnonymousUser()
        if reveal.is_revealed(options, f"dossier {identity}", identity):
            masking.unmask(request)
        about = dossier.about(request, identity)
        found = {
            "streams": [each._asdict() | {"fields": dict(each.fields)} for each in about.streams],
            "processes": [_fields(each.saga, PROCESS) for each in about.processes],
            "outgoing": [each._asdict() for each in about.pending.outgoing],
            "parked": [_fields(each, PARKED) for each in about.pending.parked],
            "timeline": [
                _fields(each.event, EVENT)
                | {
                    "relays": [carried._asdict() for carried in each.hop.relays],
                    "consumer": each.hop.consumer,
                }
                for each in about.timeline
            ],
            "correlations": about.correlations,
            "is_cut": about.is_cut,
        }
        if not any(found.values()):
            raise CommandError(f"Nothing is known about {identity!r}.")
        text = codec.encode_json(found).decode() if options["json"] else _as_text(found)
        self.stdout.write(text)


def _identity(given: str) -> str:
    """The key of the one row that the lists of the console find, where no stream has the id."""
    if (
        search.streams_named(given)
        and Stream.objects.filter(stream__in=search.streams_named(given)).exists()
    ):
        return given
    pages = [page for page in admin.site._registry.values() if isinstance(page, ReadModelAdmin)]
    terms = [given, *finding.identities(given)]
    found = {
        str(row.pk)
        for page in pages
        for rows in page.found_by(HttpRequest(), terms)
        for row in rows[:2]
    }
    return found.pop() if len(found) == 1 else given


def _fields(row: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _as_text(found: dict[str, Any]) -> str:
    lines = []
    for each in found["streams"]:
        lines.append(f"{each['stream']} at version {each['version']}")
        lines += [f"  {name}: {output.in_a_line(value)}" for name, value in each["fields"].items()]
    lines += [
        f"saga {each['saga']}: {each['status']} at {each['position']}"
        for each in found["processes"]
    ]
    lines += [
        f"pending for {each['topic']}: {each['type']} at {each['position']}"
        for each in found["outgoing"]
    ]
    lines += [
        f"parked for {each['subscription']}: {each['status']} at {each['position']},"
        f" {output.in_a_line(each['error'])}"
        for each in found["parked"]
    ]
    for each in found["timeline"]:
        came = f"; in by consumer {each['consumer']}" if each["consumer"] else ""
        left = [f"; out by relay {relay['relay']}: {relay['state']}" for relay in each["relays"]]
        lines.append(
            f"{each['recorded_at']:%Y-%m-%d %H:%M:%S.%f} {each['stream']}@{each['version']}"
            f" {each['type']}{came}{''.join(left)}"
        )
    return "\n".join(lines)
