"""manage.py sagas list|show|retry|compensate|skip: running processes, and interventions in them."""

import getpass
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec, log, sagas
from eventstore.log import audit
from eventstore.management import arguments, reveal
from eventstore.management.command import EscapingCommand
from eventstore.privacy import personal_data
from eventstore.sagas import Running

ACTIONS = {
    "retry": "repeat the request that it waits for",
    "compensate": "turn back and undo what was done",
    "skip": "treat the present step as done",
}


class Command(EscapingCommand):
    help = "List running processes, or intervene in one."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        listing = actions.add_parser("list", help="processes, unfinished ones first")
        listing.add_argument("saga", nargs="?")
        listing.add_argument("--status", help="only processes with this status")
        listing.add_argument(
            "--limit",
            type=arguments.count,
            default=100,
            help="how many at most (%(default)s): first those that need attention, then those that"
            " wait with a deadline, then the others",
        )
        listing.add_argument("--json", action="store_true")
        for what, description in {"show": "one with its state and events", **ACTIONS}.items():
            action = actions.add_parser(what, help=description)
            action.add_argument("saga")
            action.add_argument("key")
            action.add_argument("--json", action="store_true")
            if what == "show":
                reveal.add_argument(action)
            else:
                action.add_argument(
                    "--at", type=int, required=True, help="its position, as printed by show"
                )
                action.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        action = options["what"]
        if action == "list":
            name, status = options["saga"], options["status"]
            found, total = sagas.running(name=name, status=status, limit=options["limit"])
            if not found:
                _require_known("saga", name, sagas.names())
                _require_known("status", status, sagas.statuses())
            if options["json"]:
                self.stdout.write(codec.encode_json([_fields(each) for each in found]).decode())
                return
            for each in found:
                since = f"{each.updated_at:%Y-%m-%d %H:%M:%S}"
                self.stdout.write(
                    f"{each.saga} {each.key} {each.status} at {each.position} since {since}"
                )
            if not found:
                self.stdout.write("No matching sagas.")
            elif len(found) < total:
                self.stdout.write(f"{len(found)} of {total}; --limit shows more.")
            return
        if action == "show":
            self._show(_find(options), options)
            return
        saga, key, who = options["saga"], options["key"], getpass.getuser()
        try:
            sagas.intervene(
                saga, key, action, seen_at=options["at"], who=who, reason=options["reason"]
            )
        except (sagas.NoSuchSaga, sagas.MovedOn, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(codec.encode_json(_fields(_find(options))).decode())
        else:
            self.stdout.write(f"{saga} {key} will {ACTIONS[action]}.")

    def _show(self, running: Running, options: dict[str, Any]) -> None:
        revealed = reveal.is_revealed(options, "sagas show", f"{running.saga} {running.key}")
        events = log.read_correlated(running.correlation_id)
        fields = _fields(running, revealed=revealed)
        if options["json"]:
            names = ("position", "stream", "type")
            fields["events"] = [{name: getattr(each, name) for name in names} for each in events]
            self.stdout.write(codec.encode_json(fields).decode())
            return
        for name, value in fields.items():
            self.stdout.write(f"{name}: {value}")
        for each in events:
            self.stdout.write(
                f"  {each.recorded_at:%H:%M:%S.%f} {each.position} {each.stream}@{each.version}"
                f" {each.type}"
            )


def _require_known(kind: str, given: str | None, known: Sequence[str]) -> None:
    """Raises CommandError for a name that is probably misspelt."""
    if given is not None and known and given not in known:
        raise CommandError(f"Unknown {kind} {given!r}. Expected one of: {', '.join(known)}.")


def _find(options: dict[str, Any]) -> Running:
    found, _ = sagas.running(name=options["saga"], key=options["key"])
    if not found:
        raise CommandError(f"{options['saga']} has no process {options['key']!r}.")
    return found[0]


def _fields(running: Running, *, revealed: bool = False) -> dict[str, Any]:
    state = codec.decode_json(running.state)
    if not revealed:
        state = personal_data.of_saga(running.saga, state)
    return running._asdict() | {"state": state}
