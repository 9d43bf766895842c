"""Pages of a table bounded by rows and by bytes: one order may have ten lines or ten thousand."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any

from django.db.models import F, Func, IntegerField, JSONField, QuerySet

# A stored value may be compressed; typical JSON grows by about this factor when it is unpacked.
UNPACKED = 8


def page(rows: QuerySet[Any], most: int, bytes_: int) -> tuple[list[Any], bool]:
    """The first rows in their order, as many as fit but at least one; and whether more follow.

    most: maximum of rows. bytes_: maximum size of their JSON columns, estimated from the stored
    size.
    """
    columns = [
        field.name for field in rows.model._meta.concrete_fields if isinstance(field, JSONField)
    ]
    if not columns:
        found = list(rows[: most + 1])
        return found[:most], len(found) > most
    # PostgreSQL computes the stored sizes without fetching large values.
    stored = [
        Func(F(column), function="pg_column_size", output_field=IntegerField())
        for column in columns
    ]
    measured = rows.annotate(stored_bytes=reduce(add, stored))
    sizes = list(measured.values_list("stored_bytes", flat=True)[: most + 1])
    fitting = min(most, how_many_fit(sizes, bytes_ // UNPACKED))
    return list(rows[:fitting]) if fitting else [], len(sizes) > fitting


def how_many_fit(sizes: Sequence[int], room: int) -> int:
    """Counts each row that begins within the room; the first one always does."""
    begins = accumulate(sizes[:-1], initial=0) if sizes else ()
    return sum(1 for begin in begins if begin < max(1, room))
