"""What is known of each rebuild: who began it and why, how far it is, how fast, and how it
ended."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from eventstore.codec import decode_json, encode_json
from eventstore.postgres import execute, rows

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
        events, shares,
           seconds, error, waits_for, began_at, told_at, ended_at,
           replaced IS NOT NULL,
           extract(epoch FROM clock_timestamp() - began_at)::double precision,
           extract(epoch FROM clock_timestamp() - told_at)::double precision
    FROM eventstore_rebuild AS rebuild
    JOIN LATERAL (
        SELECT min(position) AS position, sum(events)::bigint AS events, count(*) AS shares
        FROM eventstore_rebuild_share
        WHERE rebuild_id = rebuild.id
    ) AS far ON true
"""
FIND_ONE = FIND + "WHERE rebuild.id = %s"
FIND_OPEN = FIND + "WHERE subscription = %s AND state IN ('folding', 'ready')"
FIND_REPLACED = FIND + "WHERE subscription = %s AND replaced IS NOT NULL"
LATEST = FIND + "WHERE %s::text IS NULL OR subscription = %s ORDER BY rebuild.id DESC LIMIT %s"
LATEST_OF_EACH = (
    FIND + "WHERE rebuild.id IN (SELECT max(id) FROM eventstore_rebuild GROUP BY subscription)"
)
# The oldest first, so that whoever asked first is served first.
FIND_BACKGROUND = (
    FIND
    + """
    WHERE background AND (state = 'folding' OR state = 'ready' AND (swap OR differences IS NULL))
    ORDER BY rebuild.id
"""
)

# Only from where we believe it to be, and only while nobody has called it off: so nobody folds what
# another has folded.
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
AIM = "UPDATE eventstore_rebuild SET head = %s WHERE id = %s"
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
KEEP_PLACE = "UPDATE eventstore_rebuild SET replaced = %s::jsonb WHERE id = %s"
KEPT_PLACE = (
    "SELECT replaced -> 'position', replaced -> 'parked' FROM eventstore_rebuild WHERE id = %s"
)


class Rebuilding(NamedTuple):
    """A rebuild as it stands. position: up to which all is folded. head: up to which it is to be,
    when it began.

    seconds: spent on it. waits_for: who keeps the swap from its lock. replaced: the table that it
    took the place of is kept. age, silent: seconds since it began, and since it was last worked on.
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
        """Events a second; those of the whole time, not of the last batch."""
        return self.events * self.shares / self.seconds if self.seconds else 0.0

    @property
    def left(self) -> float | None:
        """Seconds, should it go on as fast through positions as before; None when that cannot be
        said yet."""
        if not self.is_open or not self.position or not self.seconds:
            return None
        return max(0, self.head - self.position) * self.seconds / self.shares / self.position


class DiffReport(NamedTuple):
    """What differs from the live table: the first of it, each as a Difference has it. trouble: why
    it is not known."""

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
    """The one whose table took the place of the one that is kept."""
    return next((Rebuilding(*row) for row in rows(FIND_REPLACED, [subscription])), None)


def latest(subscription: str | None = None, *, limit: int = 100) -> list[Rebuilding]:
    return [Rebuilding(*row) for row in rows(LATEST, [subscription, subscription, limit])]


def latest_of_each() -> dict[str, Rebuilding]:
    """By subscription."""
    return {row[1]: Rebuilding(*row) for row in rows(LATEST_OF_EACH)}


def in_background() -> list[Rebuilding]:
    """Those that the workers are to go on with."""
    return [Rebuilding(*row) for row in rows(FIND_BACKGROUND)]


def advance(
    rebuild: int, shares: Sequence[int], *, before: int, to: int, events: int, seconds: float
) -> bool:
    """In the commit of the rows. False when it was called off, or somebody else has moved it."""
    numbers = list(shares)
    return len(rows(ADVANCE, [seconds, rebuild, to, numbers, events, numbers, before])) == len(
        numbers
    )


def positions(rebuild: int) -> list[int]:
    """Of each share."""
    return [position for (position,) in rows(SHARE_POSITIONS, [rebuild])]


def wait(rebuild: int, waits_for: str) -> None:
    execute(WAIT, [waits_for, rebuild]).close()


def aim(rebuild: int, head: int) -> None:
    execute(AIM, [head, rebuild]).close()


def become(rebuild: int, state: str, *, error: str = "") -> bool:
    """False when it had ended already."""
    return bool(rows(BECOME, [state, error, state, rebuild]))


def save_differences(rebuild: int, told: DiffReport | None) -> None:
    execute(
        SAVE_DIFFERENCES, [told if told is None else encode_json(told._asdict()).decode(), rebuild]
    ).close()


def found_differences(rebuild: int) -> DiffReport | None:
    """None as long as nobody has compared."""
    ((told,),) = rows(FOUND_DIFFERENCES, [rebuild])
    return told if told is None else DiffReport(**decode_json(told))


def turn_back(rebuild: int) -> None:
    """Its table and the one that was kept have changed places; once more, and it is the live one
    again."""
    execute(TURN_BACK, [rebuild]).close()


def want_swap(rebuild: int) -> None:
    execute(WANT_SWAP, [rebuild]).close()


def forget_replaced(subscription: str) -> None:
    execute(FORGET_REPLACED, [subscription]).close()


def keep_place(rebuild: int, *, position: int, parked: str | None) -> None:
    """Where the subscription stood with the table that is now kept. parked: rows of the
    subscription, as a JSON array."""
    place = f'{{"position": {position}, "parked": {parked or "[]"}}}'
    execute(KEEP_PLACE, [place, rebuild]).close()


def kept_place(rebuild: int) -> tuple[int, str]:
    ((position, parked),) = rows(KEPT_PLACE, [rebuild])
    return int(position), str(parked)
