"""The record of each rebuild: its operator and reason, its progress and rate, its outcome."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from eventstore.codec import decode_json, encode_json
from eventstore.postgres import execute, rows

from .fold import Checkpoint

BEGIN = """
    INSERT INTO eventstore_rebuild (subscription, state, who, reason, background, swap, form, head)
    VALUES (%s, 'folding', %s, %s, %s, %s, %s, %s)
    RETURNING id
"""
BEGIN_SHARES = """
    INSERT INTO eventstore_rebuild_share (rebuild_id, number)
    SELECT %s, generate_series(0, %s - 1)
"""
FIND = """
    SELECT rebuild.id, subscription, state, who, reason, background, swap, form, head, position,
           events, shares, seconds, error, waits_for, began_at, told_at, ended_at,
           replaced IS NOT NULL,
           extract(epoch FROM clock_timestamp() - began_at)::double precision,
           extract(epoch FROM clock_timestamp() - told_at)::double precision
    FROM eventstore_rebuild AS rebuild
    JOIN LATERAL (
        SELECT min(position) AS position, sum(events)::bigint AS events, count(*) AS shares
        FROM eventstore_rebuild_share
        WHERE rebuild_id = rebuild.id
    ) AS progress ON true
"""
FIND_ONE = FIND + "WHERE rebuild.id = %s"
FIND_OPEN = FIND + "WHERE subscription = %s AND state IN ('folding', 'ready')"
FIND_REPLACED = FIND + "WHERE subscription = %s AND replaced IS NOT NULL"
LATEST = FIND + "WHERE %s::text IS NULL OR subscription = %s ORDER BY rebuild.id DESC LIMIT %s"
LATEST_OF_EACH = (
    FIND + "WHERE rebuild.id IN (SELECT max(id) FROM eventstore_rebuild GROUP BY subscription)"
)
# The oldest first: requests are served in their order.
FIND_BACKGROUND = (
    FIND
    + """
    WHERE background AND (state = 'folding' OR state = 'ready' AND (swap OR differences IS NULL))
    ORDER BY rebuild.id
"""
)

# Only from the expected position and only while the rebuild is open: so no event is folded twice,
# and a cancelled rebuild stops.
ADVANCE = """
    WITH rebuild AS (
        UPDATE eventstore_rebuild
        SET told_at = now(), seconds = seconds + %s, waits_for = ''
        WHERE id = %s AND state IN ('folding', 'ready')
        RETURNING id
    )
    UPDATE eventstore_rebuild_share AS share
    SET position = %s, events = events + CASE WHEN number = (%s::integer[])[1] THEN %s ELSE 0 END
    FROM rebuild
    WHERE rebuild_id = rebuild.id AND number = ANY(%s) AND position = %s
    RETURNING number
"""
SHARE_POSITIONS = (
    "SELECT position FROM eventstore_rebuild_share WHERE rebuild_id = %s ORDER BY number"
)
WAIT = "UPDATE eventstore_rebuild SET waits_for = %s, told_at = now() WHERE id = %s"
BECOME = """
    UPDATE eventstore_rebuild
    SET state = %s, error = %s, waits_for = '', told_at = now(),
        ended_at = CASE WHEN %s = 'ready' THEN NULL ELSE now() END
    WHERE id = %s AND state IN ('folding', 'ready')
    RETURNING id
"""
SAVE_DIFFERENCES = (
    "UPDATE eventstore_rebuild SET differences = %s::jsonb, told_at = now() WHERE id = %s"
)
FOUND_DIFFERENCES = "SELECT differences FROM eventstore_rebuild WHERE id = %s"
TURN_BACK = """
    UPDATE eventstore_rebuild
    SET state = CASE state WHEN 'swapped' THEN 'taken back' ELSE 'swapped' END
    WHERE id = %s
"""
WANT_SWAP = "UPDATE eventstore_rebuild SET swap = true WHERE id = %s"
FORGET_REPLACED = (
    "UPDATE eventstore_rebuild SET replaced = NULL WHERE subscription = %s AND replaced IS NOT NULL"
)
KEEP_CURSOR = "UPDATE eventstore_rebuild SET replaced = %s::jsonb WHERE id = %s"
KEPT_CURSOR = (
    "SELECT replaced -> 'position', replaced -> 'parked' FROM eventstore_rebuild WHERE id = %s"
)


class Stopped(Exception):
    """The rebuild was cancelled, or another process has taken it over."""


class Rebuilding(NamedTuple):
    """A rebuild and its progress.

    position: everything up to here is folded. head: the position to fold up to, set when it began.
    seconds: time spent on it. waits_for: the process that blocks the swap. replaced: whether the
    table that it replaced is kept. age, silent: seconds since it began, and since its last
    progress.
    """

    id: int
    subscription: str
    state: str
    who: str
    reason: str
    background: bool
    swap: bool
    form: str
    head: int
    position: int
    events: int
    shares: int
    seconds: float
    error: str
    waits_for: str
    began_at: datetime
    told_at: datetime
    ended_at: datetime | None
    replaced: bool
    age: float
    silent: float

    @property
    def is_open(self) -> bool:
        return self.state in ("folding", "ready")

    @property
    def percent(self) -> int:
        return min(100, 100 * self.position // self.head) if self.head else 100

    @property
    def rate(self) -> float:
        """Events a second, averaged over the whole rebuild."""
        return self.events * self.shares / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Estimated seconds to the end, at the average speed; None before there is one."""
        if not self.is_open or not self.position or not self.seconds:
            return None
        return max(0, self.head - self.position) * self.seconds / self.shares / self.position


class DiffReport(NamedTuple):
    """The differences to the live table. first: the first of them, with the fields of Difference.
    is_cut: whether there are more. trouble: why the comparison failed."""

    first: Sequence[dict[str, Any]] = ()
    is_cut: bool = False
    trouble: str = ""


def begin(
    subscription: str,
    *,
    who: str,
    reason: str,
    background: bool,
    swap: bool,
    form: str,
    head: int,
    shares: int,
) -> Rebuilding:
    ((rebuild,),) = rows(BEGIN, [subscription, who, reason, background, swap, form, head])
    execute(BEGIN_SHARES, [rebuild, shares]).close()
    return get(rebuild)


def get(rebuild: int) -> Rebuilding:
    return Rebuilding(*rows(FIND_ONE, [rebuild])[0])


def open_one(subscription: str) -> Rebuilding | None:
    return next((Rebuilding(*row) for row in rows(FIND_OPEN, [subscription])), None)


def with_replaced(subscription: str) -> Rebuilding | None:
    """The rebuild that replaced the table that is kept for a rollback."""
    return next((Rebuilding(*row) for row in rows(FIND_REPLACED, [subscription])), None)


def latest(subscription: str | None = None, *, limit: int = 100) -> list[Rebuilding]:
    return [Rebuilding(*row) for row in rows(LATEST, [subscription, subscription, limit])]


def latest_of_each() -> dict[str, Rebuilding]:
    """By subscription."""
    return {row[1]: Rebuilding(*row) for row in rows(LATEST_OF_EACH)}


def in_background() -> list[Rebuilding]:
    """The rebuilds that workers continue."""
    return [Rebuilding(*row) for row in rows(FIND_BACKGROUND)]


def advance(rebuild: Rebuilding, shares: Sequence[int], checkpoint: Checkpoint) -> None:
    """Record the progress, in the transaction that writes the rows. Raises Stopped."""
    before, to, events, seconds = checkpoint
    numbers = list(shares)
    moved = rows(ADVANCE, [seconds, rebuild.id, to, numbers, events, numbers, before])
    if len(moved) != len(numbers):
        raise Stopped(
            f"The rebuild of {rebuild.subscription} was cancelled, or another process took it over."
        )


def positions(rebuild: int) -> list[int]:
    """The position of each share, by number."""
    return [position for (position,) in rows(SHARE_POSITIONS, [rebuild])]


def wait(rebuild: int, waits_for: str) -> None:
    execute(WAIT, [waits_for, rebuild]).close()


def become(rebuild: int, state: str, *, error: str = "") -> bool:
    """Set the state of an open rebuild; returns False when it has already ended."""
    return bool(rows(BECOME, [state, error, state, rebuild]))


def save_differences(rebuild: int, report: DiffReport | None) -> None:
    stored = None if report is None else encode_json(report._asdict()).decode()
    execute(SAVE_DIFFERENCES, [stored, rebuild]).close()


def found_differences(rebuild: int) -> DiffReport | None:
    """None before a comparison."""
    ((stored,),) = rows(FOUND_DIFFERENCES, [rebuild])
    return None if stored is None else DiffReport(**decode_json(stored))


def turn_back(rebuild: int) -> None:
    """Record that its table and the kept one were exchanged. A second call records the reverse."""
    execute(TURN_BACK, [rebuild]).close()


def want_swap(rebuild: int) -> None:
    execute(WANT_SWAP, [rebuild]).close()


def forget_replaced(subscription: str) -> None:
    execute(FORGET_REPLACED, [subscription]).close()


def keep_cursor(rebuild: int, *, position: int, parked: str | None) -> None:
    """Record the cursor that belongs to the kept table. parked: the subscription's parked messages,
    as a JSON array of rows."""
    cursor = f'{{"position": {position}, "parked": {parked or "[]"}}}'
    execute(KEEP_CURSOR, [cursor, rebuild]).close()


def kept_cursor(rebuild: int) -> tuple[int, str]:
    """Returns the position and the parked messages that keep_cursor recorded."""
    ((position, parked),) = rows(KEPT_CURSOR, [rebuild])
    return int(position), str(parked)
