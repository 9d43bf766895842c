"""manage.py rebuild_projection NAME…|--all: fold read models anew, beside the live ones."""

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from eventstore import rebuilding, registry
from eventstore.subscriptions import Projection


class Command(BaseCommand):
    help = "Rebuild read models from the log, beside the live ones; readers see the new rows all at once."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="a projection, as in the wiring")
        parser.add_argument("--all", action="store_true", help="every projection there is")

    def handle(self, *args: Any, **options: Any) -> None:
        names = options["names"] or (_projections() if options["all"] else [])
        if not names:
            raise CommandError(f"Name projections, or say --all. There are: {', '.join(_projections())}.")
        try:
            for name in names:
                rebuilding.projection(name)
            for name in names:
                self._rebuild(name)
        except (rebuilding.NotAProjection, rebuilding.RebuildFailed) as error:
            raise CommandError(str(error)) from error

    def _rebuild(self, name: str) -> None:
        started = time.monotonic()
        count = _with_bar(name) if self.stdout.isatty() else self._with_lines(name)
        seconds = time.monotonic() - started
        self.stdout.write(f"{name}: {count} events in {seconds:.1f} s, {count / max(seconds, 0.001):.0f} a second.")

    def _with_lines(self, name: str) -> int:
        said = time.monotonic()

        def progress(position: int, head: int) -> None:
            nonlocal said
            if time.monotonic() - said > 5:
                said = time.monotonic()
                self.stdout.write(f"{name}: position {position} of {head}")

        return rebuilding.rebuild(name, progress)


def _with_bar(name: str) -> int:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(), transient=True) as bar:
        task = bar.add_task(name, total=None)
        return rebuilding.rebuild(name, lambda position, head: bar.update(task, completed=position, total=head))


def _projections() -> list[str]:
    return [name for name, each in registry.subscriptions().items() if isinstance(each, Projection)]
