"""Who relays: one row for each relay, held by one process for as long as it publishes a batch."""

import os
import socket
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from uuid import uuid4

from eventstore.postgres import execute, rows

# Longer than the time-out of a broker. After kill -9, another process takes over this much later.
SECONDS = 15.0

# Each batch has its own token. A process with an older token cannot move the cursor.
TAKE = """
    INSERT INTO eventstore_relay AS relay (name, token, settled, holder, until)
    VALUES (%s, 1, 0, %s, now() + %s)
    ON CONFLICT (name) DO UPDATE
    SET token = relay.token + 1, holder = EXCLUDED.holder, until = EXCLUDED.until
    WHERE relay.until <= now() OR relay.holder = EXCLUDED.holder
    RETURNING token, settled
"""
# Not after an operator has moved the cursor in the meantime.
SETTLE = """
    UPDATE eventstore_relay
    SET settled = token, error = '', failed_at = NULL
    WHERE name = %s AND token = %s AND EXISTS (
        SELECT FROM eventstore_subscription
        WHERE eventstore_subscription.name = eventstore_relay.name AND position = %s
    )
    RETURNING token
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
           extract(epoch FROM now() - until)::double precision, token, settled
    FROM eventstore_relay
    ORDER BY name
"""


class RelayLease(NamedTuple):
    """token: of this batch. settled: of the last batch that moved the cursor."""

    token: int
    settled: int


class RelayState(NamedTuple):
    """error: why the last batch was not published; "" when it was. ended: seconds since the lease
    ran out."""

    name: str
    holder: str
    is_held: bool
    error: str
    failed_at: datetime | None
    failing: float
    ended: float
    token: int
    settled: int


def take(name: str) -> RelayLease | None:
    """None while another process holds it."""
    found = rows(TAKE, [name, _holder(os.getpid()), timedelta(seconds=SECONDS)])
    return RelayLease(*found[0]) if found else None


def settle(name: str, token: int, position: int) -> bool:
    """Whether the lease still holds and the cursor still stands at the position."""
    return bool(rows(SETTLE, [name, token, position]))


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
