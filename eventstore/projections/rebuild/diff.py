"""What a rebuild would change: each column in which a live row and its rebuilt row differ."""

from collections.abc import Generator
from typing import Any, NamedTuple

from django.db import transaction

from eventstore.codec import decode_json
from eventstore.postgres import execute, quoted, rows
from eventstore.subscriptions import Projection

from . import records, shadow_table
from .records import Rebuilding
from .swap import catch_up

# One snapshot for the cursor and the live rows: commits of the subscription stay invisible.
ONE_SNAPSHOT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
COMPARE = """
    DECLARE differing NO SCROLL CURSOR FOR
    SELECT coalesce(live.{key}, rebuilt.{key}), to_jsonb(live), to_jsonb(rebuilt)
    FROM {live} AS live
    FULL JOIN {shadow} AS rebuilt ON live.{key} = rebuilt.{key}
    WHERE to_jsonb(live) IS DISTINCT FROM to_jsonb(rebuilt)
"""
FETCH = "FETCH 1000 FROM differing"
POSITION = "SELECT position FROM eventstore_subscription WHERE name = %s"


class SubscriptionBehind(Exception):
    """The rebuilt table is ahead of the live one, so the two cannot be compared."""


class Difference(NamedTuple):
    """column: "" for a row that only one table has. old: the live value. new: the rebuilt value."""

    key: str
    column: str
    old: Any
    new: Any


def differences(rebuild: Rebuilding, projection: Projection) -> Generator[Difference]:
    """Compare both tables at the position of the live one. Read it to the end, or close it.

    Raises SubscriptionBehind.
    """
    table, key = shadow_table.table_of(projection), quoted(projection.model._meta.pk.column)
    live, shadow = shadow_table.live_name(table), shadow_table.shadow_name(table)
    with transaction.atomic():
        execute(ONE_SNAPSHOT).close()
        ((position,),) = rows(POSITION, [rebuild.subscription])
        folded = records.get(rebuild.id).position
        if position < folded:
            raise SubscriptionBehind(
                f"{rebuild.subscription} is at position {position}, behind the rebuilt table, which"
                f" is at {folded}. Wait until it has caught up."
            )
        catch_up(rebuild, projection, until=position)
        execute(COMPARE.format(key=key, live=live, shadow=shadow)).close()
        while page := rows(FETCH):
            for row, *values in page:
                old, new = (value and decode_json(value) for value in values)
                if old is None or new is None:
                    yield Difference(row, "", old, new)
                    continue
                for column in sorted({*old, *new}):
                    if old.get(column) != new.get(column):
                        yield Difference(row, column, old.get(column), new.get(column))
