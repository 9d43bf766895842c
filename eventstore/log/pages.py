"""Pages of a table bounded by rows and by bytes: one order may have ten lines or ten thousand."""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import accumulate
from operator import add
from typing import Any

from django.db.models import F, Func, IntegerField, JSONField, Q, QuerySet

# PostgreSQL compresses the values of rows from about this size on (TOAST_TUPLE_THRESHOLD).
COMPRESSED_FROM = 2_000
# The lines of an order, which have the same names in each, grow by about this factor when they are
# unpacked.
UNPACKED = 32


def page(rows: QuerySet[Any], most: int, bytes_: int) -> tuple[Iterable[Any], bool]:
    """The first rows in their order, as many as fit but at least one; and whether more follow.

    most: maximum of rows. bytes_: maximum size of their JSON columns, estimated from the stored
    size. The JSON of a row is parsed when the row is reached: a caller that stops early saves the
    rest.
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
    sizes = [unpacked(size) for size in measured.values_list("stored_bytes", flat=True)[: most + 1]]
    fitting = min(most, how_many_fit(sizes, bytes_))
    # Without a cursor on the server (DISABLE_SERVER_SIDE_CURSORS), this is one query.
    return rows[:fitting].iterator() if fitting else (), len(sizes) > fitting


def after(fields: Sequence[str], comparison: str, key: Sequence[Any]) -> Q:
    """The rows behind a key of one or several fields, for keyset pagination. comparison: gt or lt,
    by which the list goes on."""
    (first, *others), (value, *values) = fields, key
    beyond = Q(**{f"{first}__{comparison}": value})
    if not others:
        return beyond
    # Implied by the second condition, but only this one can use an index.
    return Q(**{f"{first}__{comparison}e": value}) & (
        beyond | Q(**{first: value}) & after(others, comparison, values)
    )


def unpacked(stored: int) -> int:
    """About how many bytes of JSON so many stored bytes are, at most."""
    return stored if stored < COMPRESSED_FROM else stored * UNPACKED


def how_many_fit(sizes: Sequence[int], room: int) -> int:
    """Counts each row that begins within the room; the first one always does."""
    begins = accumulate(sizes[:-1], initial=0) if sizes else ()
    return sum(1 for begin in begins if begin < max(1, room))
