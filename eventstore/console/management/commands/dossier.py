"""manage.py dossier ID: all that the log and the machinery know about one thing, as on an order's
page."""

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.http import HttpRequest

from eventstore import codec
from eventstore.console import dossier, masking
from eventstore.console.dossier import Dossier
from eventstore.management import reveal


class Command(BaseCommand):
    help = (
        "Show how one thing stands in each context, its processes, what is owed and parked for it,"
        " and its events."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="of what its streams are about: of an order, a product")
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        identity, request = options["id"], HttpRequest()
        # Who may act is no question here: nothing is offered to be done.
        request.user = AnonymousUser()
        if reveal.is_revealed(options, f"dossier {identity}", identity):
            masking.unmask(request)
        told = _told(dossier.about(request, identity))
        if not any(told.values()):
            raise CommandError(f"Nothing is known about {identity!r}.")
        self.stdout.write(codec.encode_json(told).decode() if options["json"] else _as_text(told))


def _told(found: Dossier) -> dict[str, Any]:
    """is_cut: there are more events than are told."""
    return {
        "standings": [each._asdict() | {"fields": dict(each.fields)} for each in found.standings],
        "processes": [
            {
                name: getattr(each.saga, name)
                for name in ("saga", "key", "status", "position", "updated_at", "deadline_at")
            }
            for each in found.processes
        ],
        "owed": [each._asdict() for each in found.owed],
        "parked": [
            {
                name: getattr(each, name)
                for name in ("subscription", "position", "key", "status", "attempts", "error")
            }
            for each in found.parked
        ],
        "timeline": [
            {
                name: getattr(each.event, name)
                for name in ("position", "recorded_at", "stream", "version", "type", "data")
            }
            for each in found.timeline
        ],
        "correlations": found.correlations,
        "is_cut": found.is_cut,
    }


def _as_text(told: dict[str, Any]) -> str:
    lines = []
    for each in told["standings"]:
        lines.append(f"{each['stream']} at version {each['version']}")
        lines += [f"  {name}: {value}" for name, value in each["fields"].items()]
    lines += [
        f"process {each['saga']}: {each['status']} at {each['position']}"
        for each in told["processes"]
    ]
    lines += [
        f"owed to {each['topic']}: {each['type']} at {each['position']}" for each in told["owed"]
    ]
    lines += [
        f"parked for {each['subscription']}: {each['status']} at {each['position']},"
        f" {each['error']}"
        for each in told["parked"]
    ]
    lines += [
        f"{each['recorded_at']:%Y-%m-%d %H:%M:%S.%f} {each['stream']}@{each['version']}"
        f" {each['type']}"
        for each in told["timeline"]
    ]
    return "\n".join(lines)
