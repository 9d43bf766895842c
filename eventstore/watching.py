"""Who holds everybody's view back: appenders that have taken the fence and do not commit."""

import logging
from datetime import timedelta
from typing import NamedTuple

from .postgres import rows

logger = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=2)

HOLDERS = """
    SELECT activity.pid, activity.usename, activity.application_name, activity.state, activity.query,
           extract(epoch FROM clock_timestamp() - activity.xact_start)::double precision
    FROM pg_locks AS held
    JOIN pg_stat_activity AS activity USING (pid)
    WHERE held.locktype = 'advisory' AND held.objsubid = 1 AND held.granted
      AND held.classid::bigint >> 16 = x'E5'::bigint
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND activity.xact_start < clock_timestamp() - %s
    ORDER BY activity.xact_start
"""


class Holder(NamedTuple):
    """seconds: since its transaction began. query: the last one it ran."""

    pid: int
    user: str
    application: str
    state: str
    query: str
    seconds: float


def fence_holders(*, longer_than: timedelta = PATIENCE) -> list[Holder]:
    return [Holder(*row) for row in rows(HOLDERS, [longer_than])]


def warn() -> None:
    """Name each of them in the log; idle_in_transaction_session_timeout is what cuts them off."""
    for holder in fence_holders(longer_than=PATIENCE):
        logger.warning(
            "backend %s (%s, %s) began to append %.1f s ago and has not committed; no lane sees what is newer: %s",
            holder.pid,
            holder.application or "unnamed",
            holder.state,
            holder.seconds,
            " ".join(holder.query.split())[:200],
        )
