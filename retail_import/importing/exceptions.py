"""The exception list: what of a file was left out, and goods returned by known customers for which
no sale was found."""

import csv
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from orders import queries

from ..earlier_orders import slices
from .planning import ImportRejected, Plan

HEADER = (
    "reason",
    "line",
    "invoice",
    "customer",
    "sku",
    "description",
    "units",
    "unit_price",
    "currency",
    "at",
)
NO_SALE = "no sale was found"
# A spreadsheet takes a text that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def require_writable(path: Path) -> None:
    """Before anything is imported. Raises ImportRejected."""
    try:
        path.open("a").close()
    except OSError as error:
        raise ImportRejected(f"{path} cannot be written: {error.strerror}.") from error


def write(path: Path, plan: Plan) -> tuple[int, int]:
    """Write the exceptions of the file as CSV. Returns the numbers of faults, and of credit lines
    without a sale."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        faults = _rows_left_out(plan)
        writer.writerows([_harmless(each) for each in row] for row in faults)
        credits = list(_credits_without_sale(plan))
        writer.writerows([_harmless(each) for each in row] for row in credits)
    return len(faults), len(credits)


def _rows_left_out(plan: Plan) -> list[tuple[object, ...]]:
    """In the columns of the file, as far as they could be read."""
    rows = list[tuple[object, ...]]()
    for fault in plan.left_out:
        fields = [*map(str, fault.fields), *[""] * 8][:8] if fault.fields else [""] * 8
        invoice, sku, description, units, at, price, customer, _ = fields
        reason, number = fault.reason, fault.line_number
        rows.append((reason, number, invoice, customer, sku, description, units, price, "", at))
    return rows


def _credits_without_sale(plan: Plan) -> Iterator[tuple[object, ...]]:
    without_sale = queries.list_credits_without_sale().order_by("booked_at", "reference")
    for notes in slices(sorted(plan.survey.notes)):
        for credit in without_sale.filter(reference__in=notes).iterator():
            at = credit.booked_at.isoformat() if credit.booked_at else ""
            for line in credit.lines:
                price = Decimal(line["unit_price"]).scaleb(-credit.exponent)
                goods = (line["sku"], line["name"], line["quantity"], price)
                note = (credit.reference, credit.customer_id)
                yield (NO_SALE, "", *note, *goods, credit.currency, at)


def _harmless(value: object) -> object:
    """Text as a spreadsheet shows it, never runs it. Numbers stay numbers."""
    if isinstance(value, str) and value.startswith(FORMULA) and not _is_number(value):
        return f"'{value}"
    return value


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdecimal()
