"""Lines of goods and of charges as tables."""

from typing import Any

from django.utils.safestring import SafeString

from eventstore.console import read_models
from orders.models import BookingView, OrderDetails


def priced(
    heading: str, key: str, lines: list[dict[str, Any]], row: OrderDetails | BookingView
) -> SafeString:
    return read_models.table(
        (heading, "Name", "Quantity", "Price", "Sum"),
        (
            (
                line[key],
                line["name"],
                line["quantity"],
                read_models.money(line["unit_price"], row),
                read_models.money(line["quantity"] * line["unit_price"], row),
            )
            for line in lines
        ),
    )
