"""The server: connections, long transactions, transaction ids, clock, disk."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from eventstore.log import fence_monitor
from eventstore.postgres import rows

from .findings import CRITICAL, WARNING, Finding, Limits

CONNECTIONS = """
    SELECT current_database(), count(*) FILTER (WHERE datname = current_database()), count(*),
           (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
           current_setting('max_connections')::integer
               - current_setting('superuser_reserved_connections')::integer
    FROM pg_stat_activity
    WHERE backend_type = 'client backend'
"""
# Without transactions that only hold the lock of a rebuild: they block nothing else
# (projections/rebuild/run.py).
OLD_TRANSACTIONS = """
    SELECT pid, application_name, state, left(query, 200),
           extract(epoch FROM now() - xact_start)::integer
    FROM pg_stat_activity AS activity
    WHERE datname = current_database() AND xact_start < now() - %s AND pid <> pg_backend_pid()
      AND NOT (
          backend_xmin IS NULL AND backend_xid IS NULL AND EXISTS (
              SELECT FROM pg_locks AS held
              WHERE held.pid = activity.pid AND locktype = 'advisory' AND classid = x'E7'::integer
                AND objsubid = 2
          )
      )
    ORDER BY xact_start
"""
PREPARED = """
    SELECT gid, owner, extract(epoch FROM now() - prepared)::integer
    FROM pg_prepared_xacts
    WHERE database = current_database() AND prepared < now() - %s
    ORDER BY prepared
"""
XID_AGE = "SELECT age(datfrozenxid) FROM pg_database WHERE datname = current_database()"
CLOCK = "SELECT extract(epoch FROM clock_timestamp())::double precision"
# No rows without the privilege to read data_directory.
DATA_DIRECTORY = """
    SELECT setting, coalesce(host(inet_server_addr()), '127.0.0.1') IN ('127.0.0.1', '::1'),
           pg_database_size(current_database())
    FROM pg_settings
    WHERE name = 'data_directory' AND setting <> ''
"""


# PostgreSQL stops accepting writes at about 2.1 billion.
CRITICAL_XID_AGE = 1_800_000_000
CRITICAL_DISK_SHARE = 0.03


class Connections(NamedTuple):
    """own, own_limit: of this database; the limit is -1 if there is none. all, limit: of the
    server."""

    database: str
    own: int
    all: int
    own_limit: int
    limit: int


class Transaction(NamedTuple):
    pid: int
    application: str
    state: str
    query: str
    seconds: int


class Prepared(NamedTuple):
    gid: str
    owner: str
    seconds: int


class DataDirectory(NamedTuple):
    """size: of the database, in bytes."""

    path: str
    is_local: bool
    size: int


def connections(limits: Limits) -> Iterator[Finding]:
    (row,) = rows(CONNECTIONS)
    found = Connections(*row)
    for count, limit in ((found.own, found.own_limit), (found.all, found.limit)):
        if limit > 0 and count >= limits.connections_share * limit:
            yield Finding(
                check="connections",
                severity=WARNING if count < limit else CRITICAL,
                what=f"{count} of {limit} connections are in use.",
                culprit=f"database {found.database}",
                why="New processes cannot connect.",
                mend="Run fewer processes or threads, use a pooler, or ALTER SYSTEM SET"
                " max_connections = …; and restart.",
            )
            return


def old_transactions(limits: Limits) -> Iterator[Finding]:
    for row in rows(OLD_TRANSACTIONS, [limits.transaction]):
        each = Transaction(*row)
        query = " ".join(each.query.split())
        yield Finding(
            check="old-transaction",
            severity=WARNING,
            what=f"A transaction has been open for {each.seconds} s ({each.state}).",
            culprit=f"backend {each.pid} ({each.application or 'unnamed'}): {query}",
            why="Vacuum cannot remove newer dead rows, and everything gets slower.",
            mend=f"SELECT pg_terminate_backend({each.pid});",
        )


def prepared_transactions(limits: Limits) -> Iterator[Finding]:
    """No timeout ever ends a prepared transaction, because it has no backend. One that holds the
    fence is reported by the check of the fence, earlier."""
    for row in rows(PREPARED, [limits.transaction]):
        each = Prepared(*row)
        yield Finding(
            check="prepared-transaction",
            severity=WARNING,
            what=f"A transaction was prepared {each.seconds} s ago and is neither committed nor"
            " rolled back.",
            culprit=f"the prepared transaction {each.gid!r} of {each.owner}",
            why="It keeps its locks even over a restart, and vacuum cannot remove newer dead rows.",
            mend=f"{fence_monitor.rollback(each.gid)} or COMMIT PREPARED, as its coordinator"
            " decides",
        )


def transaction_ids(limits: Limits) -> Iterator[Finding]:
    ((age,),) = rows(XID_AGE)
    if age >= limits.xid_age:
        yield Finding(
            check="transaction-ids",
            severity=WARNING if age < CRITICAL_XID_AGE else CRITICAL,
            what=f"The oldest transaction id is {age} transactions old.",
            culprit="autovacuum, held back by an old transaction, a slot or its settings",
            why="At 2.1 billion PostgreSQL stops accepting writes.",
            mend="VACUUM (FREEZE);",
        )


def clock(limits: Limits, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    before = now()
    ((database_time,),) = rows(CLOCK)
    difference = database_time - (before + now()) / 2
    if abs(difference) > limits.clock_seconds:
        direction = "ahead of" if difference > 0 else "behind"
        yield Finding(
            check="clock",
            severity=WARNING,
            what=f"The database's clock is {abs(difference):.1f} s {direction} this machine's.",
            culprit="the clock of this machine or of the database server",
            why="Order and deadlines use the database's clock only, but logs and tokens of the two"
            " machines do not match.",
            mend="chronyc makestep",
        )


def disk(limits: Limits) -> Iterator[Finding]:
    """Only for a server on this machine: the disk of another machine is not visible from here."""
    for row in rows(DATA_DIRECTORY):
        found = DataDirectory(*row)
        if not found.is_local or not Path(found.path).exists():
            return
        usage = shutil.disk_usage(found.path)
        if usage.free <= limits.disk_share * usage.total:
            is_full = usage.free <= CRITICAL_DISK_SHARE * usage.total
            yield Finding(
                check="disk",
                severity=CRITICAL if is_full else WARNING,
                what=f"{usage.free >> 20} of {usage.total >> 20} MiB are free; the database uses"
                f" {found.size >> 20}.",
                culprit=found.path,
                why="PostgreSQL stops when the disk is full. Nothing is lost, but nothing works.",
                mend="Free disk space. If PostgreSQL has stopped, start it again.",
            )


CHECKS = (connections, old_transactions, prepared_transactions, transaction_ids, clock, disk)
