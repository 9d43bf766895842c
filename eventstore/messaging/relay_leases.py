"""The row of each relay: its lease, which one process holds for as long as it publishes a batch;
its way out, which cdc/ways.py changes; and what cdc/outbox.py keeps for it."""

import os
import socket
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import uuid4

from eventstore.outbox import cursors
from eventstore.outbox.cursors import Claim
from eventstore.postgres import execute, rows

# Longer than the time-out of a broker. After kill -9, another process takes over this much later.
SECONDS = 15.0

IS_HELD_ELSEWHERE = """
    SELECT FROM eventstore_relay WHERE name = %s AND until > now() AND holder <> %s
"""
# A batch is read before its lease is taken.
PEEK = cursors.CURSOR + "AND NOT paused AND eventstore_mark() IS NOT NULL"
# Only where the cursor still stands at the beginning of the batch. Each batch has its own token. A
# process with an older token cannot move the cursor.
TAKE = """
    INSERT INTO eventstore_relay AS relay (name, token, settled, holder, until)
    SELECT name, 1, 0, %s, now() + %s
    FROM eventstore_subscription
    WHERE name = %s AND position = %s AND (NOT paused OR %s) AND eventstore_mark() IS NOT NULL
    ON CONFLICT (name) DO UPDATE
    SET token = relay.token + 1, holder = EXCLUDED.holder, until = EXCLUDED.until
    WHERE (relay.until <= now() OR relay.holder = EXCLUDED.holder)
      AND relay.way IN ('relay', 'cdc')
    RETURNING token, settled, way, pending, pending_bytes
"""
# Moves the cursor, but not after an operator has moved it in the meantime.
SETTLE = f"""
    WITH cursor AS MATERIALIZED (
        SELECT name FROM eventstore_subscription WHERE name = %s AND position = %s FOR UPDATE
    ), lease AS MATERIALIZED (
        UPDATE eventstore_relay
        SET settled = token, error = '', failed_at = NULL
        WHERE name = (SELECT name FROM cursor) AND token = %s
        RETURNING name
    )
    {cursors.MOVE}
      AND EXISTS (SELECT FROM lease)
    RETURNING position
"""
RELEASE = "UPDATE eventstore_relay SET until = now() WHERE name = %s AND token = %s"
FAIL = """
    UPDATE eventstore_relay
    SET until = now(), error = %s, failed_at = coalesce(failed_at, now())
    WHERE name = %s AND token = %s
"""
LIST = """
    SELECT name, holder, until > now(), error, failed_at,
           coalesce(extract(epoch FROM now() - failed_at), 0)::double precision,
           extract(epoch FROM now() - until)::double precision, token, settled, way, pending
    FROM eventstore_relay
    ORDER BY name
"""
# A relay that has never published has no row yet.
ENSURE = """
    INSERT INTO eventstore_relay (name, token, settled, holder, until)
    VALUES (%s, 0, 0, '', now())
    ON CONFLICT (name) DO NOTHING
"""
# unsettled: a batch was begun whose cursor has not moved. is_held: its lease has not ended.
WAYS = """
    SELECT name, way, token > settled, until > now(), pending, pending_bytes
    FROM eventstore_relay
    ORDER BY name
"""
LOCK_WAY = "SELECT way FROM eventstore_relay WHERE name = %s FOR UPDATE"
# Without a new token: a batch that was begun may still settle.
HOLD_WAY = "UPDATE eventstore_relay SET way = %s WHERE name = %s"
CHANGE_WAY = """
    UPDATE eventstore_relay
    SET way = %s, token = token + 1, settled = token + 1, error = '', failed_at = NULL
    WHERE name = %s
"""
# pending: rows of the integration outbox. mark: the last of them when the place mark_lsn of the WAL
# was noted; Debezium has passed it when the slot has.
COUNT_PENDING = """
    UPDATE eventstore_relay
    SET pending = pending + %s, pending_bytes = pending_bytes + %s
    WHERE name = %s
"""
# Of outbox.CLEAR, which knows the slot and the sums of what it deletes.
PASSED_MARK = """
        SELECT name, mark
        FROM eventstore_relay, slot
        WHERE name = %s AND mark_lsn::pg_lsn <= confirmed_flush_lsn
        FOR UPDATE OF eventstore_relay
"""
COUNT_CLEARED = """
    UPDATE eventstore_relay
    SET mark = NULL, mark_lsn = NULL, pending = pending - sums.number,
        pending_bytes = pending_bytes - sums.bytes
    FROM passed, sums
    WHERE eventstore_relay.name = passed.name
    RETURNING sums.number
"""
# A statement of its own: what it sees was committed before the place that it notes.
MARK = """
    UPDATE eventstore_relay
    SET mark_lsn = pg_current_wal_insert_lsn(), mark = (
        SELECT number FROM eventstore_integration_outbox
        WHERE relay = name
        ORDER BY relay DESC, number DESC
        LIMIT 1
    )
    WHERE name = %s AND mark IS NULL AND pending > 0
"""
UNMARK = "UPDATE eventstore_relay SET mark = NULL, mark_lsn = NULL WHERE name = %s"
WITH_PENDING = "SELECT name FROM eventstore_relay WHERE pending > 0 ORDER BY name"
NONE_PENDING = """
    UPDATE eventstore_relay
    SET pending = 0, pending_bytes = 0, mark = NULL, mark_lsn = NULL
    WHERE name = %s
"""


class RelayLease(NamedTuple):
    """token: of this batch. settled: of the last batch that moved the cursor. way: relay or cdc.
    pending, pending_bytes: of the integration outbox, what Debezium has not yet passed."""

    token: int
    settled: int
    way: str
    pending: int
    pending_bytes: int


class RelayState(NamedTuple):
    """error: why the last batch was not published; "" when it was. ended: seconds since the lease
    ran out. way, pending: as of the lease."""

    name: str
    holder: str
    is_held: bool
    error: str
    failed_at: datetime | None
    failing: float
    ended: float
    token: int
    settled: int
    way: str
    pending: int


def is_held_elsewhere(name: str) -> bool:
    return bool(rows(IS_HELD_ELSEWHERE, [name, _holder(os.getpid())]))


def peek(name: str, *, after: int | None = None) -> Claim | None:
    """As cursors.claim, without a lock. after: as if the cursor stood there."""
    found = rows(PEEK, [name])
    return cursors.claimed(found[0], after=after) if found else None


def take(name: str, position: int, *, even_paused: bool = False) -> RelayLease | None:
    """None while another process holds it, while it is paused or handed over, or when its cursor
    has left the position."""
    holder = _holder(os.getpid())
    found = rows(TAKE, [holder, timedelta(seconds=SECONDS), name, position, even_paused])
    return RelayLease(*found[0]) if found else None


def settle(name: str, token: int, position: int, until: int) -> bool:
    """Move the cursor. Returns False when the lease is lost or the cursor has left the position."""
    return bool(rows(SETTLE, [name, position, token, until, name]))


def release(name: str, token: int) -> None:
    execute(RELEASE, [name, token]).close()


def fail(name: str, token: int, error: str) -> None:
    execute(FAIL, [error, name, token]).close()


def states() -> list[RelayState]:
    return [RelayState(*row) for row in rows(LIST)]


@cache
def _holder(pid: int) -> str:
    """Unlike that of an earlier process with the same pid."""
    return f"{socket.gethostname()}:{pid}:{uuid4().hex[:8]}"
