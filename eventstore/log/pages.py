"""Pages of a table that are bounded by bytes, not by rows alone: one order may have ten lines, or
ten thousand."""

from collections.abc import Sequence
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any

from django.db.models import F, Func, IntegerField, JSONField, QuerySet

# A stored value may be compressed. What is typical grows about so many times when it is unpacked.
UNPACKED = 8


def page(rows: QuerySet[Any], most: int, bytes_: int) -> tuple[list[Any], bool]:
    """The first rows in their order, as many as fit, at least one; and whether more follow.

    most: rows. bytes_: of their JSON columns, estimated by what they take where they are stored.
    """
    columns = [
        field.name for field in rows.model._meta.concrete_fields if isinstance(field, JSONField)
    ]
    if not columns:
        found = list(rows[: most + 1])
        return found[:most], len(found) > most
    sizes = list(
        rows.annotate(stored_bytes=_stored(columns)).values_list("stored_bytes", flat=True)[
            : most + 1
        ]
    )
    fitting = min(most, how_many_fit(sizes, bytes_ // UNPACKED))
    return list(rows[:fitting]) if fitting else [], len(sizes) > fitting


def how_many_fit(sizes: Sequence[int], room: int) -> int:
    """Each that begins within the room; the first one always does."""
    begins = accumulate(sizes[:-1], initial=0) if sizes else ()
    return sum(1 for before in begins if before < max(1, room))


def _stored(columns: list[str]) -> Any:
    """Told without fetching what is large."""
    sizes = [
        Func(F(column), function="pg_column_size", output_field=IntegerField())
        for column in columns
    ]
    return reduce(add, sizes)
