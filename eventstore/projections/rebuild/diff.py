"""What a rebuild would change: every column of every row in which the live table and the rebuilt
one differ."""

from collections.abc import Generator, Iterator
from typing import Any, NamedTuple

from django.db import transaction

from eventstore.codec import decode_json
from eventstore.postgres import execute, rows
from eventstore.subscriptions import Projection

from . import records
from . import shadow_table as shadow
from . import swap as swapping
from .records import Rebuilding

# The cursor and the live rows as of the same moment: what the subscription commits meanwhile is not
# seen.
OF_ONE_MOMENT = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"
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
    """The rebuilt table is ahead of the live one, so they are not of the same position."""


class Difference(NamedTuple):
    """column: "" for a row that only one of the two has. old: as it is live. new: as it was folded
    anew."""

    key: str
    column: str
    old: Any
    new: Any


def differences(rebuild: Rebuilding, projection: Projection) -> Generator[Difference]:
    """At the position at which the live table stands; to be read to its end, or closed. Raises
    SubscriptionBehind."""
    table, key = shadow.name_of(projection), projection.model._meta.pk.column
    with transaction.atomic():
        execute(OF_ONE_MOMENT).close()
        ((position,),) = rows(POSITION, [rebuild.subscription])
        if position < records.get(rebuild.id).position:
            raise SubscriptionBehind(
                f"{rebuild.subscription} stands at {position}, behind what was folded; let it"
                " come up."
            )
        swapping.catch_up(rebuild, projection, until=position)
        execute(
            COMPARE.format(key=key, live=shadow.live(table), shadow=shadow.shadow(table))
        ).close()
        while page := rows(FETCH):
            for found in page:
                yield from _columns(*found)


def _columns(key: str, live: str | None, rebuilt: str | None) -> Iterator[Difference]:
    if live is None or rebuilt is None:
        yield Difference(key, "", live and decode_json(live), rebuilt and decode_json(rebuilt))
        return
    old, new = decode_json(live), decode_json(rebuilt)
    for column in sorted({*old, *new}):
        if old.get(column) != new.get(column):
            yield Difference(key, column, old.get(column), new.get(column))
