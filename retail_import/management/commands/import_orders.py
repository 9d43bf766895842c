"""manage.py import_orders FILE: import a shop's past invoices and compare the outcome."""

from pathlib import Path
from typing import Any, TextIO, cast

from django.core.management.base import BaseCommand, CommandError, CommandParser
from rich.console import Console

from retail_import.importing import exceptions, issuing, preparing, running

EXCEPTIONS = 20
WIDTH = 120


class Command(BaseCommand):
    help = (
        "Import past invoices in the format of the Online Retail data, as orders that are paid,"
        " reserved, shipped and confirmed. If it is interrupted, start it again: it continues where"
        " it stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="CSV of invoice lines, plain or gzipped"
        )
        parser.add_argument(
            "--opening-stock", type=Path, metavar="FILE", help="CSV of the stock before the import"
        )
        parser.add_argument(
            "--expected", type=Path, metavar="FILE", help="JSON of the expected totals"
        )
        parser.add_argument(
            "--exceptions",
            type=Path,
            metavar="FILE",
            help="CSV to write: credit lines without a sale",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""  # the console writes its own line ends
        console = Console(
            file=cast(TextIO, self.stdout),
            width=None if self.stdout.isatty() else WIDTH,
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
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
                "Stopped. Start it again to continue from here.", returncode=130
            ) from None
        console.print(result.report.table())
        if path := options["exceptions"]:
            count = exceptions.write(path)
            console.print(f"{count:,} credit lines without a sale are written to {path}.")
        else:
            console.print(
                f"{result.report.found.numbers['exceptions']:,} credit lines have no sale, wholly"
                " or in part: see --exceptions FILE, or Bookings in the admin."
            )
        if not result.is_right:
            lines = ["The outcome differs from the file.", *result.exceptions[:EXCEPTIONS]]
            if (more := len(result.exceptions) - EXCEPTIONS) > 0:
                lines.append(f"and {more} more")
            raise CommandError("\n".join(lines))


def _greeting(task: preparing.Task) -> str:
    found, done = task.survey, issuing.mark(task.survey.import_id)
    whole = (
        f"{task.path.name}: {found.lines:,} lines, {found.documents:,} documents,"
        f" {len(found.invoices):,} orders"
    )
    if done.documents == found.documents:
        return f"{whole}; all of it is imported already."
    if done.documents:
        return f"{whole}; continuing after {done.documents:,} documents imported before."
    stock = "with its opening stock" if task.opening else "without an opening stock"
    return f"{whole}, {stock}."
