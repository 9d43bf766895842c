"""manage.py sagas list|show|retry|compensate|skip: running processes, and a hand for those that are
stuck."""

import getpass
from collections.abc import Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec, log, sagas
from eventstore.log import audit
from eventstore.management import arguments, reveal
from eventstore.privacy import personal_data
from eventstore.sagas import Running

ACTIONS = {
    "retry": "ask once more for what it waits for",
    "compensate": "turn back and undo what was done",
    "skip": "take the present step back as done",
}


class Command(BaseCommand):
    help = "Show running processes, or tell one what to do with its present step."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        listing = actions.add_parser("list", help="processes, the longest untouched first")
        listing.add_argument("saga", nargs="?")
        listing.add_argument("--status")
        listing.add_argument("--limit", type=arguments.count, default=100)
        listing.add_argument("--json", action="store_true")
        for what, words in {"show": "one with its state and events", **ACTIONS}.items():
            action = actions.add_parser(what, help=words)
            action.add_argument("saga")
            action.add_argument("key")
            action.add_argument("--json", action="store_true")
            if what == "show":
                reveal.add_argument(action)
            else:
                action.add_argument(
                    "--at", type=int, required=True, help="its position, as show tells it"
                )
                action.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        what = options["what"]
        if what == "list":
            self._list(options)
        elif what == "show":
            self._show(_found(options), options)
        else:
            self._intervene(what, options)

    def _list(self, options: dict[str, Any]) -> None:
        found = sagas.running(
            name=options["saga"], status=options["status"], limit=options["limit"]
        )
        if not found:
            _demand_known("saga", options["saga"], sagas.names())
            _demand_known("status of a process", options["status"], sagas.statuses())
        if options["json"]:
            self.stdout.write(codec.encode_json([_shown(each) for each in found]).decode())
            return
        for each in found:
            since = f"{each.updated_at:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(
                f"{each.saga} {each.key} {each.status} at {each.position} since {since}"
            )
        if not found:
            self.stdout.write("No process is like that.")

    def _show(self, running: Running, options: dict[str, Any]) -> None:
        revealed = reveal.is_revealed(options, "sagas show", f"{running.saga} {running.key}")
        events = log.read_correlated(running.correlation_id)
        if options["json"]:
            told = [
                {"position": each.position, "stream": each.stream, "type": each.type}
                for each in events
            ]
            self.stdout.write(
                codec.encode_json(_shown(running, revealed=revealed) | {"events": told}).decode()
            )
            return
        for name, value in _shown(running, revealed=revealed).items():
            self.stdout.write(f"{name}: {value}")
        for each in events:
            self.stdout.write(
                f"  {each.recorded_at:%H:%M:%S.%f} {each.position} {each.stream}@{each.version}"
                f" {each.type}"
            )

    def _intervene(self, what: str, options: dict[str, Any]) -> None:
        said = {"seen_at": options["at"], "who": getpass.getuser(), "reason": options["reason"]}
        try:
            sagas.intervene(options["saga"], options["key"], what, **said)
        except (sagas.NoSuchSaga, sagas.MovedOn, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(codec.encode_json(_shown(_found(options))).decode())
            return
        self.stdout.write(f"{options['saga']} {options['key']} will {ACTIONS[what]}.")


def _demand_known(kind: str, given: str | None, known: Sequence[str]) -> None:
    """What no row has may be a slip of the pen. Raises CommandError."""
    if given is not None and known and given not in known:
        raise CommandError(f"{given!r} is no {kind}. There are: {', '.join(known)}.")


def _found(options: dict[str, Any]) -> Running:
    found = sagas.running(name=options["saga"], key=options["key"])
    if not found:
        raise CommandError(f"{options['saga']} has no process {options['key']!r}.")
    return found[0]


def _shown(running: Running, *, revealed: bool = False) -> dict[str, Any]:
    state = codec.decode_json(running.state)
    return running._asdict() | {
        "state": state if revealed else personal_data.of_saga(running.saga, state)
    }
