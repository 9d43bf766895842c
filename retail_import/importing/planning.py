"""The plan of an import: everything that is wrong with the file and everything that would follow
from it, found before anything is written. A dry run and a real run make the same plan."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .. import earlier_orders
from ..earlier_orders import EarlierOrder
from ..retail import documents, opening_stock, reader, source
from ..retail.documents import Document
from ..retail.london import AmbiguousDates, DateForm
from ..retail.malformed import MalformedLine, UnreadableFile
from ..retail.opening_stock import OpeningStock
from ..retail.source import Copy
from . import history, survey
from .crediting import Crediting
from .survey import Shortages, Survey

COMPUTED = "computed"
# Found in the folder of the file.
OPENING_STOCK = ("minimal_opening_stock.csv.gz", "minimal_opening_stock.csv")
SHOWN = 20


class ImportRejected(Exception):
    """Nothing is imported; the message says what is wrong with which file."""


class Plan(NamedTuple):
    """left_out: faults of lines and documents that are not imported. opening: units to receive, by
    SKU; opening_from: what says so, empty if nothing does. after: appends of all imports so far.

    kept: products of the file that the catalogue has, or had. found, earlier: credit lines that
    find their sales, and returns of orders of earlier files. unmatched: credit lines without one,
    wholly or in part.
    """

    file: Copy
    form: DateForm
    survey: Survey
    left_out: list[MalformedLine]
    after: int
    earlier: list[EarlierOrder]
    opening: Mapping[str, int]
    opening_from: str
    shortages: Shortages
    kept: set[str]
    unmatched: int

    @property
    def without(self) -> set[str]:
        return {fault.invoice for fault in self.left_out if fault.invoice}

    @property
    def lines_left_out(self) -> set[int]:
        """The lines whose invoice cannot be read; the others go with their invoices."""
        return {fault.line_number for fault in self.left_out if not fault.invoice}

    def documents(self) -> Iterator[Document]:
        """Those to import, in file order."""
        read = documents.read(self.file.path, self.form, lambda fault: None, self.without)
        return (each for each in read if each.key not in self.survey.known)

    def refusals(self) -> list[str]:
        """Why nothing is imported; none if the import can begin."""
        cancelled, refused = self.shortages.cancelled, self.shortages.refused
        if not cancelled and not refused:
            return []
        return [
            f"Stock is missing: {len(cancelled):,} orders would be cancelled, and"
            f" {len(refused):,} stock adjustments refused. Give the stock before the import:"
            f" --opening-stock {COMPUTED}, or --opening-stock FILE.",
            *_some([*(f"order {each}" for each in cancelled), *refused]),
        ]


def make(
    file: Copy,
    form: DateForm | None,
    *,
    folder: Path,
    opening: str | None,
    may_leave_out: bool,
) -> Plan:
    """opening: the name of a file, or COMPUTED; by default a file in the folder. Raises
    ImportRejected."""
    try:
        form = form or reader.date_form(file.path)
        past = history.load(file.fingerprint)
        found, left_out = _survey(file, form, past.documents, may_leave_out=may_leave_out)
    except AmbiguousDates as error:
        raise ImportRejected(
            f"{file.name}: {error}. Say --dates {DateForm.MONTH_FIRST} or --dates"
            f" {DateForm.DAY_FIRST}."
        ) from error
    except MalformedLine as error:
        raise ImportRejected(f"{file.name}: {error}") from error
    earlier = earlier_orders.load(found.credited_customers)
    plan = Plan(
        file=file,
        form=form,
        survey=found,
        left_out=left_out,
        after=past.appends,
        earlier=earlier,
        opening={},
        opening_from="",
        shortages=Shortages({}),
        kept=history.products_that_exist(found.products),
        unmatched=0,
    )
    crediting = Crediting(earlier)
    plan = plan._replace(
        unmatched=sum(crediting.of(document).unmatched for document in plan.documents())
    )
    return _with_stock(plan, past, opening, folder)


def _survey(
    file: Copy, form: DateForm, recorded: Mapping[str, str], *, may_leave_out: bool
) -> tuple[Survey, list[MalformedLine]]:
    """A document with a fault is left out as a whole, so without it the file is surveyed again."""
    found = Survey(recorded, history.orders_that_exist)
    found.read(file.path, form, without=())
    faults = sorted(found.faults, key=lambda each: each.line_number)
    if not faults:
        return found, []
    if not may_leave_out:
        lines = [str(each) for each in faults]
        more = [] if len(lines) == 1 else _some(lines)[1:]
        if len(lines) > 1:
            more.append("--exceptions FILE leaves these invoices out and writes them to FILE.")
        raise ImportRejected("\n".join([f"{file.name}: {lines[0]}", *more]))
    again = Survey(recorded, history.orders_that_exist)
    again.read(file.path, form, without={each.invoice for each in faults})
    return again, faults


def _with_stock(plan: Plan, past: history.History, opening: str | None, folder: Path) -> Plan:
    needed = plan.survey.new_stock
    if not needed:
        return plan
    if opening == COMPUTED:
        # What earlier imports have left is used first; other stock is not touched.
        units = {sku: each.units - past.levels[sku] for sku, each in needed.items()}
        opened = {sku: count for sku, count in units.items() if count > 0}
        return plan._replace(opening=opened, opening_from=COMPUTED)
    path = Path(opening) if opening else _next_to(folder)
    if path is not None:
        levels = past.levels if plan.survey.known else {}
        stated = _read_opening(path, plan.survey.stock, levels)
        left = {each.sku: each.units - past.opening[each.sku] for each in stated}
        opened = {sku: count for sku, count in left.items() if count > 0}
        plan = plan._replace(opening=opened, opening_from=str(path.name))
    start = history.available(needed)
    for sku, count in plan.opening.items():
        start[sku] = start.get(sku, 0) + count
    if any(each.units > start[sku] for sku, each in needed.items()):
        found = survey.shortages(plan.documents(), start, Crediting(plan.earlier))
        return plan._replace(shortages=found)
    return plan


def _read_opening(
    path: Path, needed: Mapping[str, OpeningStock], levels: Mapping[str, int]
) -> list[OpeningStock]:
    try:
        with source.copied(path) as copy:
            return opening_stock.compared(copy.path, needed, levels)
    except (MalformedLine, UnreadableFile, opening_stock.WrongOpeningStock) as error:
        raise ImportRejected(f"{path.name}: {error}") from error
    except OSError as error:
        raise ImportRejected(f"{path} cannot be read: {error.strerror}.") from error


def _next_to(folder: Path) -> Path | None:
    return next((folder / name for name in OPENING_STOCK if (folder / name).exists()), None)


def _some(lines: list[str]) -> list[str]:
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], *([f"and {more:,} more"] if more > 0 else [])]
