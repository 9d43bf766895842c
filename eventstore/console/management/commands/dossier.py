"""manage.py dossier ID: everything about one id, as on an order's page."""

from collections.abc import Sequence
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import HttpRequest

from eventstore import codec
from eventstore.console import dossier, masking
from eventstore.management import reveal

# Fields of a saga, of a parked message and of an event.
PROCESS = ("saga", "key", "status", "position", "updated_at", "deadline_at")
PARKED = ("subscription", "position", "key", "status", "attempts", "error")
EVENT = ("position", "recorded_at", "stream", "version", "type", "data")


class Command(BaseCommand):
    help = (
        "Show the streams of an id with their states, its sagas, its pending and parked messages,"
        " and its events."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="the identity in the streams' names, such as an order's id")
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        identity, request = options["id"], HttpRequest()
        # The dossier asks for permissions to offer buttons; a command offers none.
        request.user = AnonymousUser()
        if reveal.is_revealed(options, f"dossier {identity}", identity):
            masking.unmask(request)
        about = dossier.about(request, identity)
        found = {
            "streams": [each._asdict() | {"fields": dict(each.fields)} for each in about.streams],
            "processes": [_fields(each.saga, PROCESS) for each in about.processes],
            "outgoing": [each._asdict() for each in about.outgoing],
            "parked": [_fields(each, PARKED) for each in about.parked],
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


def _fields(row: object, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _as_text(found: dict[str, Any]) -> str:
    lines = []
    for each in found["streams"]:
        lines.append(f"{each['stream']} at version {each['version']}")
        lines += [f"  {name}: {value}" for name, value in each["fields"].items()]
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
        f" {each['error']}"
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
