"""manage.py import_orders FILE: import a shop's past invoices and compare the outcome."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO, cast

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError
from rich.console import Console

from eventstore.management.command import EscapingCommand
from retail_import.importing import delivering, describing, exceptions, issuing, planning, running
from retail_import.importing.planning import ImportRejected, Plan
from retail_import.retail import source
from retail_import.retail.london import DateForm
from retail_import.retail.malformed import UnreadableFile

EXCEPTIONS = 20
WIDTH = 120
EXPECTED = "expected_totals.json"
AGAIN = "Start it again to continue from here."


class Command(EscapingCommand):
    help = (
        "Import past invoices in the format of the Online Retail data, as orders that are paid,"
        " reserved, shipped and confirmed. Everything that is wrong with the file, or would go"
        " wrong with its import, is reported before anything is written. If it is interrupted,"
        " start it again: it continues where it stopped."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file",
            type=Path,
            metavar="FILE",
            help="CSV of invoice lines, plain or gzipped (.gz); may be a pipe",
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="only report what an import would do"
        )
        parser.add_argument(
            "--opening-stock",
            metavar=f"{planning.COMPUTED}|FILE",
            help=f"the stock before the import: a CSV, or {planning.COMPUTED}: the least that the"
            " invoices need",
        )
        parser.add_argument(
            "--expected", type=Path, metavar="FILE", help="JSON of the expected totals"
        )
        parser.add_argument(
            "--exceptions",
            type=Path,
            metavar="FILE",
            help="leave out invoices with faults, and write them and credit lines without a sale to"
            " this CSV",
        )
        parser.add_argument(
            "--dates",
            type=DateForm,
            choices=list(DateForm),
            metavar="|".join(DateForm),
            help="the form of the dates, if the file does not show it",
        )
        parser.add_argument(
            "--encoding", choices=source.ENCODINGS, default="utf-8", help="of the file's text"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.ending = ""  # the console writes its own line ends
        console = Console(
            file=cast(TextIO, self.stdout.raw),
            width=None if self.stdout.isatty() else WIDTH,
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
        with _sentences():
            self._import(console, options)

    def _import(self, console: Console, options: dict[str, Any]) -> None:
        path, exceptions_to = options["file"], options["exceptions"]
        if exceptions_to and not options["dry_run"]:
            exceptions.require_writable(exceptions_to)
        totals = _totals(options["expected"]) if options["expected"] else {}
        with ExitStack() as stack:
            file = _copied(stack, path, options["encoding"])
            if not options["expected"]:
                totals = _totals_beside(path, file.fingerprint)
            console.print(f"Reading {file.name}.")
            self._settle(console, dry=options["dry_run"])
            plan = planning.make(
                file,
                options["dates"],
                folder=path.parent,
                opening=options["opening_stock"],
                may_leave_out=exceptions_to is not None,
            )
            for sentence in describing.describe(plan):
                console.print(sentence)
            if refusals := plan.refusals():
                raise ImportRejected("\n".join(["Nothing is imported.", *refusals]))
            if options["dry_run"]:
                console.print("Nothing is imported: this was a dry run.")
                return
            result = running.run(plan, totals, console)
            console.print(result.report.table())
            self._write_exceptions(console, plan, result, exceptions_to)
        _require_right(result)

    def _settle(self, console: Console, *, dry: bool) -> None:
        """The plan is made on read models and stock that know all earlier imports."""
        if dry:
            if not delivering.are_read_models_level():
                console.print("The read models are behind the log: the plan may lack the latest.")
            return
        try:
            delivering.until_earlier_imports_are_done(lambda open_: None)
        except delivering.NothingMoves:
            console.print("Orders of an earlier import are under way, and nothing moves.")

    def _write_exceptions(
        self, console: Console, plan: Plan, result: running.Result, path: Path | None
    ) -> None:
        if path is None:
            console.print(
                f"{result.report.found.numbers['exceptions']:,} credit lines have no sale, wholly"
                " or in part: see --exceptions FILE, or Bookings in the admin."
            )
            return
        faults, credits = exceptions.write(path, plan)
        console.print(f"{credits:,} credit lines without a sale are written to {path}.")
        if faults:
            console.print(f"{faults:,} faults that were left out are written there, too.")


@contextmanager
def _sentences() -> Iterator[None]:
    """Errors as one sentence each."""
    try:
        yield
    except (ImportRejected, issuing.CannotGoOn) as error:
        raise CommandError(str(error)) from error
    except DatabaseError as error:
        reason = str(error).splitlines()[0]
        raise CommandError(f"The database has refused a statement: {reason}. {AGAIN}") from error
    except KeyboardInterrupt:
        raise CommandError(f"Stopped. {AGAIN}", returncode=130) from None


def _copied(stack: ExitStack, path: Path, encoding: str) -> source.Copy:
    try:
        return stack.enter_context(source.copied(path, encoding=encoding))
    except UnreadableFile as error:
        raise ImportRejected(f"{path.name}: {error}.") from error
    except OSError as error:
        raise ImportRejected(f"{path} cannot be read: {error.strerror}.") from error


def _totals(path: Path) -> Mapping[str, Any]:
    try:
        totals = json.loads(path.read_bytes())
    except OSError as error:
        raise ImportRejected(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise ImportRejected(f"{path.name} is not JSON: {error}.") from error
    if not isinstance(totals, dict):
        raise ImportRejected(f"{path.name} is not a JSON object of totals.")
    return totals


def _totals_beside(path: Path, fingerprint: str) -> Mapping[str, Any]:
    """Totals found in the same folder may be of another file."""
    beside = path.with_name(EXPECTED)
    totals = _totals(beside) if beside.is_file() else {}
    return totals if totals.get("source_sha256") == fingerprint else {}


def _require_right(result: running.Result) -> None:
    if not result.is_right:
        lines = ["The outcome differs from the file.", *result.exceptions[:EXCEPTIONS]]
        if (more := len(result.exceptions) - EXCEPTIONS) > 0:
            lines.append(f"and {more} more")
        raise CommandError("\n".join(lines))
