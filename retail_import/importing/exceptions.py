"""The exception list: goods returned by known customers for which no sale was found."""

import csv
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
        count = 0
        notes = queries.list_credits_without_sale().order_by("booked_at", "reference")
        for credit in notes.iterator():
            at = credit.booked_at.isoformat() if credit.booked_at else ""
            for line in credit.lines:
                note = (credit.reference, credit.customer_id)
                goods = (line["sku"], line["name"], line["quantity"])
                price = Decimal(line["unit_price"]).scaleb(-credit.exponent)
                writer.writerow((*note, *goods, price, credit.currency, at))
                count += 1
        return count
