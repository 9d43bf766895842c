"""manage.py subscriptions [list|pause|resume|reset|skip]: who listens, how far behind; and a hand
on one of them."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from eventstore import codec
from eventstore.log import audit
from eventstore.operations import control, dead_letters, lag
from eventstore.operations.lag import Lag

COLUMNS = (
    "subscription",
    "kind",
    "position",
    "fence",
    "events",
    "seconds",
    "parked",
    "dead",
    "state",
)
NUMBERS = COLUMNS[2:-1]


TROUBLES = (
    control.NoSuchSubscription,
    control.OperationRefused,
    dead_letters.NotParked,
    audit.ReasonMissing,
)


class Command(BaseCommand):
    help = (
        "Show every subscription with its lag in events and in seconds, or stop, start, reset one,"
        " skip a message."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        actions = parser.add_subparsers(dest="what")
        actions.add_parser("list", help="all of them, as without any word").add_argument(
            "--json", action="store_true", default=None
        )
        for what, words in (
            ("pause", "deliver nothing more to it"),
            ("resume", "go on"),
            ("reset", "back to a position: a read model to 0, emptied; a publication to any"),
            ("skip", "leave out one message: a parked one, or the next"),
        ):
            action = actions.add_parser(what, help=words)
            action.add_argument("name")
            if what in ("reset", "skip"):
                action.add_argument("position", type=int)
            action.add_argument("--reason", default="", required=what in ("reset", "skip"))
            action.add_argument("--json", action="store_true", default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("what") in (None, "list"):
            self._list(as_json=options["json"])
            return
        try:
            said = _act(options)
        except TROUBLES as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            found = next(each for each in lag.lags() if each.name == options["name"])
            said = codec.encode_json(found._asdict()).decode()
        self.stdout.write(said)

    def _list(self, *, as_json: bool) -> None:
        lags = lag.lags()
        if as_json:
            self.stdout.write(codec.encode_json([each._asdict() for each in lags]).decode())
        elif self.stdout.isatty():
            Console().print(_table(lags))
        else:
            for each in lags:
                self.stdout.write(" ".join(_cells(each)))


def _act(options: dict[str, Any]) -> str:
    name, noted = options["name"], {"who": getpass.getuser(), "reason": options["reason"]}
    match options["what"]:
        case "pause":
            control.pause(name, **noted)
            return f"{name} is paused."
        case "resume":
            control.resume(name, **noted)
            return f"{name} goes on."
        case "reset":
            gone = control.reset(name, options["position"], **noted)
            return f"{name} begins again behind {options['position']}; {gone} rows were taken away."
        case _:
            control.skip(name, options["position"], **noted)
            return f"{name} leaves {options['position']} out."


def _table(lags: list[Lag]) -> Table:
    # As narrow as it can be: in 80 columns nothing is cut off.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left", overflow="fold")
    for each in lags:
        table.add_row(*_cells(each), style="red" if each.dead else None)
    return table


def _cells(each: Lag) -> list[str]:
    numbers = [
        each.position,
        each.fence,
        each.events,
        round(each.seconds, 1),
        each.parked,
        each.dead,
    ]
    return [each.name, each.kind, *map(str, numbers), "paused" if each.paused else "running"]
