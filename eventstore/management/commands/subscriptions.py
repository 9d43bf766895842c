"""manage.py subscriptions [list|pause|resume|reset|skip]: list subscriptions and control them."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from eventstore import codec
from eventstore.log import audit
from eventstore.management.command import EscapingCommand
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
ERRORS = (
    control.NoSuchSubscription,
    control.OperationRefused,
    dead_letters.NotParked,
    audit.ReasonMissing,
)


class Command(EscapingCommand):
    help = (
        "List subscriptions with their lag in events and seconds; pause, resume or reset one,"
        " or skip a message."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        actions = parser.add_subparsers(dest="what")
        actions.add_parser("list", help="all subscriptions; the default").add_argument(
            "--json", action="store_true", default=None
        )
        for what, description in (
            ("pause", "stop delivery"),
            ("resume", "continue delivery"),
            (
                "reset",
                "go back: a read model to 0, where it is emptied; a publication to any position",
            ),
            ("skip", "leave out one message: a parked one, or the next one"),
        ):
            action = actions.add_parser(what, help=description)
            action.add_argument("name")
            if what in ("reset", "skip"):
                action.add_argument("position", type=int)
            action.add_argument("--reason", default="", required=what in ("reset", "skip"))
            action.add_argument("--json", action="store_true", default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        if options.get("what") in (None, "list"):
            self._list(as_json=options["json"])
            return
        name, given = options["name"], {"who": getpass.getuser(), "reason": options["reason"]}
        try:
            match options["what"]:
                case "pause":
                    control.pause(name, **given)
                    result = f"{name} is paused."
                case "resume":
                    control.resume(name, **given)
                    result = f"{name} is running."
                case "reset":
                    gone = control.reset(name, options["position"], **given)
                    result = (
                        f"{name} continues after {options['position']}; {gone} rows were deleted."
                    )
                case _:
                    control.skip(name, options["position"], **given)
                    result = f"{name} skips {options['position']}."
        except ERRORS as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            found = next(each for each in lag.lags() if each.name == name)
            result = codec.encode_json(found._asdict()).decode()
        self.stdout.write(result)

    def _list(self, *, as_json: bool) -> None:
        lags = lag.lags()
        if as_json:
            self.stdout.write(codec.encode_json([each._asdict() for each in lags]).decode())
        elif self.stdout.isatty():
            # Narrow, so that it fits into 80 columns.
            table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
            for column in COLUMNS:
                justify: Any = "right" if column in NUMBERS else "left"
                table.add_column(column, justify=justify, overflow="fold")
            for each in lags:
                table.add_row(*_cells(each), style="red" if each.dead else None)
            Console().print(table)
        else:
            self.stdout.write(" ".join(COLUMNS))
            for each in lags:
                self.stdout.write(" ".join(_cells(each)))


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
