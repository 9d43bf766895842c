"""The exception list: goods returned by known customers for which no sale was found."""

import csv
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from orders import queries

HEADER = (
    "credit_note",
    "customer",
    "sku",
    "description",
    "units",
    "unit_price",
    "currency",
    "credited_at",
)


def write(path: Path) -> int:
    """Write the exceptions of all imports as CSV. Returns the number of lines."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        return sum(writer.writerow(row) > 0 for row in _rows())


def _rows() -> Iterator[tuple[object, ...]]:
    for credit in queries.list_credits_without_sale().order_by("booked_at", "reference").iterator():
        for line in credit.lines:
            price = Decimal(line["unit_price"]).scaleb(-credit.exponent)
            at = credit.booked_at.isoformat() if credit.booked_at else ""
            named = (
                credit.reference,
                credit.customer_id,
                line["sku"],
                line["name"],
                line["quantity"],
            )
            yield (*named, price, credit.currency, at)
