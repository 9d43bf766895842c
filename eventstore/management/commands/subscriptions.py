"""manage.py subscriptions: who listens, how far each has come, and how far it is behind."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from rich.console import Console
from rich.table import Table

from eventstore import codec, lag
from eventstore.lag import Lag

COLUMNS = ("subscription", "kind", "position", "fence", "events", "seconds", "parked", "dead", "state")
NUMBERS = COLUMNS[2:-1]


class Command(BaseCommand):
    help = "Show every subscription with its lag in events and in seconds."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        lags = lag.lags()
        if options["json"]:
            self.stdout.write(codec.encode_json([each._asdict() for each in lags]).decode())
        elif self.stdout.isatty():
            Console().print(_table(lags))
        else:
            for each in lags:
                self.stdout.write(" ".join(_cells(each)))


def _table(lags: list[Lag]) -> Table:
    # As narrow as it can be: in 80 columns nothing is cut off.
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in COLUMNS:
        table.add_column(column, justify="right" if column in NUMBERS else "left", overflow="fold")
    for each in lags:
        table.add_row(*_cells(each), style="red" if each.dead else None)
    return table


def _cells(each: Lag) -> list[str]:
    numbers = [each.position, each.fence, each.events, round(each.seconds, 1), each.parked, each.dead]
    return [each.name, each.kind, *map(str, numbers), "paused" if each.paused else "running"]
