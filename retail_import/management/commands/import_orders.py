"""manage.py import_orders FILE: a shop's past invoices through the real path, and what has come of
them."""

from pathlib import Path
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from retail_import.importing import exceptions, issuing, preparing, running

EXCEPTIONS = 20
WIDTH = 120


class Command(BaseCommand):
    help = (
        "Import past invoices in the form of the Online Retail data, as orders that are paid,"
        " reserved, shipped and confirmed. It may be killed at any moment and goes on when it is"
        " started again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="CSV of invoice lines, plain or gzipped"
        )
        parser.add_argument(
            "--opening-stock", type=Path, metavar="FILE", help="what lies on the shelves before"
        )
        parser.add_argument(
            "--expected", type=Path, metavar="FILE", help="JSON of the totals that must come out"
        )

        parser.add_argument(
            "--exceptions",
            type=Path,
            metavar="FILE",
            help="CSV to write: credit lines to which no sale was found",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        console = self._console()
        try:
            task = preparing.prepare(
                options["file"], opening=options["opening_stock"], expected=options["expected"]
            )
            console.print(_greeting(task))
            result = running.run(task, console)
        except (preparing.ImportRejected, issuing.CannotGoOn) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError(
                "Stopped; started again, it goes on from here.", returncode=130
            ) from None
        console.print(result.report.table())
        console.print(_told_of_exceptions(result, options["exceptions"]))
        if not result.is_right:
            raise CommandError(_sentence(result))

    def _console(self) -> Console:
        self.stdout.ending = ""  # the console says itself where a line ends
        width = None if self.stdout.isatty() else WIDTH
        return Console(
            file=cast(TextIO, self.stdout),
            width=width,
            soft_wrap=True,
            markup=False,
            highlight=False,
        )


def _greeting(task: preparing.Task) -> str:
    found, done = task.survey, issuing.mark(task.survey.import_id)
    whole = (
        f"{task.path.name}: {found.lines:,} lines, {found.documents:,} documents,"
        f" {len(found.invoices):,} orders"
    )
    if done.documents == found.documents:
        return f"{whole}; all of it has been imported before."
    if done.documents:
        return f"{whole}; {done.documents:,} documents are in already, it goes on from there."
    stock = "with its opening stock" if task.opening else "without an opening stock"
    return f"{whole}, {stock}."


def _told_of_exceptions(result: running.Result, path: Path | None) -> str:
    count = result.report.found.numbers["exceptions"]
    if path:
        return f"{exceptions.write(path):,} credit lines without a sale are in {path}."
    return (
        f"{count:,} credit lines found no sale, wholly or in part: --exceptions FILE, or Bookings"
        " in the admin."
    )


def _sentence(result: running.Result) -> str:
    count = len(result.exceptions)
    told = result.exceptions[:EXCEPTIONS] + (
        [f"and {count - EXCEPTIONS} more"] if count > EXCEPTIONS else []
    )
    return "\n".join(["What came out is not what went in.", *told])
