"""Transactions that hold the fence: appenders that have not committed, so that no reader sees newer
events. Prepared transactions (two-phase commit) are included."""

import logging
from datetime import timedelta
from typing import NamedTuple

from eventstore.postgres import rows

logger = logging.getLogger(__name__)

PATIENCE = timedelta(seconds=2)

# A prepared transaction has locks and no backend, even after the server restarts. Its lock on its
# own transaction id identifies it. Goes behind `FROM pg_locks AS held`.
HELD_BY = """
    LEFT JOIN pg_stat_activity AS activity USING (pid)
    LEFT JOIN pg_locks AS own
           ON held.pid IS NULL AND own.pid IS NULL
          AND own.virtualtransaction = held.virtualtransaction
          AND own.locktype = 'transactionid'
    LEFT JOIN pg_prepared_xacts AS prepared ON prepared.transaction = own.transactionid
"""
HOLDERS = f"""
    SELECT held.pid, coalesce(activity.usename, prepared.owner),
           coalesce(activity.application_name, ''),
           coalesce(activity.state, 'prepared'), coalesce(activity.query, ''),
           extract(epoch FROM clock_timestamp() - began)::double precision,
           coalesce(prepared.gid, '')
    FROM pg_locks AS held
    {HELD_BY}
    CROSS JOIN LATERAL (
        SELECT coalesce(activity.xact_start, prepared.prepared) AS began
    ) AS transaction
    WHERE held.locktype = 'advisory' AND held.objsubid = 1 AND held.granted
      AND held.classid::bigint >> 16 = x'E5'::bigint
      AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND began < clock_timestamp() - %s
    ORDER BY began
"""


class FenceHolder(NamedTuple):
    """seconds: since its transaction began or was prepared. query: the last one it ran.

    gid: the identifier of a prepared transaction, which has no backend and so no pid; else "".
    """

    pid: int | None
    user: str
    application: str
    state: str
    query: str
    seconds: float
    gid: str = ""

    @property
    def who(self) -> str:
        if self.gid:
            return f"the prepared transaction {self.gid!r} of {self.user}"
        query = " ".join(self.query.split())[:200]
        return f"backend {self.pid} ({self.user}, {self.application or 'unnamed'}): {query}"

    @property
    def end(self) -> str:
        """The statement that rolls it back."""
        if self.gid:
            return rollback(self.gid)
        return f"SELECT pg_terminate_backend({self.pid});"


def rollback(gid: str) -> str:
    """The statement that ends a prepared transaction; its owner or a superuser runs it in its
    database."""
    return "ROLLBACK PREPARED '{}';".format(gid.replace("'", "''"))


def fence_holders(*, longer_than: timedelta = PATIENCE) -> list[FenceHolder]:
    return [FenceHolder(*row) for row in rows(HOLDERS, [longer_than])]


def warn_about_blockers() -> None:
    """Log a warning for each holder. PostgreSQL ends idle transactions by
    idle_in_transaction_session_timeout; prepared ones stay until an operator ends them."""
    for holder in fence_holders(longer_than=PATIENCE):
        logger.warning(
            "an append that began %.1f s ago has not committed (%s); no subscription sees newer"
            " events: %s; end it with: %s",
            holder.seconds,
            holder.state,
            holder.who,
            holder.end,
        )
