"""The server: time-outs that have not arrived, disk, connections, transactions that do not end,
clocks, poolers."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.db import transaction
from psycopg import sql

from eventstore.log import epochs, fence_monitor
from eventstore.postgres import compose, execute, rows

from .findings import CRITICAL, WARNING, Finding, Limits

UNBOUNDED = """
    SELECT name
    FROM unnest(ARRAY['idle_in_transaction_session_timeout', 'lock_timeout']) AS name
    WHERE current_setting(name) = '0'
"""
# Two hours are what a kernel has by itself; 0 is said of a socket in the file system, which cannot
# be half gone.
KEPT_LONG = """
    SELECT 'tcp_keepalives_idle'
    WHERE current_setting('tcp_keepalives_idle')::integer >= 7200
"""
CONNECTIONS = """
    SELECT current_database(), count(*) FILTER (WHERE datname = current_database()), count(*),
           (SELECT datconnlimit FROM pg_database WHERE datname = current_database()),
           current_setting('max_connections')::integer
               - current_setting('superuser_reserved_connections')::integer
    FROM pg_stat_activity
    WHERE backend_type = 'client backend'
"""
# But for who rebuilds: its lock is a transaction's, which holds up nothing else
# (rebuilding/running.py).
OLD_TRANSACTIONS = """
    SELECT pid, application_name, state, left(query, 200), extract(epoch
        FROM now() - xact_start)::integer
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
BACKEND = "SELECT pg_backend_pid()"
IS_PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"
# Not everybody may ask where the data is.
PLACE = """
    SELECT setting, coalesce(host(inet_server_addr()), '127.0.0.1') IN ('127.0.0.1', '::1'),
           pg_database_size(current_database())
    FROM pg_settings
    WHERE name = 'data_directory' AND setting <> ''
"""


def unbounded_waits(limits: Limits, *, told: Callable[[], int] | None = None) -> Iterator[Finding]:
    """Behind a pooler, the server's connection is the pooler's: whether that one has vanished is
    for its own settings, and a transaction it has left open is ended by the time-outs."""
    for (name,) in rows(UNBOUNDED) + ([] if _is_a_poolers(told) else rows(KEPT_LONG)):
        yield Finding(
            "unbounded-waits",
            WARNING,
            f"Our connections have no {name} of their own.",
            name,
            "Who stops or vanishes in the middle of a transaction holds everybody up for hours, or"
            " for ever.",
            "Take OPTIONS from eventstore.defaults.connection() in DATABASES; behind a pooler,"
            " ALTER ROLE … SET it.",
        )


def connections(limits: Limits) -> Iterator[Finding]:
    ((name, ours, all_, own_limit, most),) = rows(CONNECTIONS)
    for count, limit in ((ours, own_limit), (all_, most)):
        if limit > 0 and count >= limits.connections_share * limit:
            yield Finding(
                "connections",
                WARNING if count < limit else CRITICAL,
                f"{count} of {limit} connections are taken.",
                f"database {name}",
                "The next process to start finds none.",
                "Fewer processes or threads, a pooler, or ALTER SYSTEM SET max_connections = …; and"
                " a restart.",
            )
            return


def old_transactions(limits: Limits) -> Iterator[Finding]:
    for pid, application, state, query, seconds in rows(OLD_TRANSACTIONS, [limits.transaction]):
        yield Finding(
            "old-transaction",
            WARNING,
            f"A transaction has been open for {seconds} s ({state}).",
            f"backend {pid} ({application or 'unnamed'}): {' '.join(query.split())}",
            "Dead rows cannot be cleaned up behind it, and everything becomes slower.",
            f"SELECT pg_terminate_backend({pid});",
        )


def prepared_transactions(limits: Limits) -> Iterator[Finding]:
    """Of these no backend is left, so no time-out ever ends one. One that holds the fence is told
    as that, sooner."""
    for gid, owner, seconds in rows(PREPARED, [limits.transaction]):
        yield Finding(
            "prepared-transaction",
            WARNING,
            f"A transaction was prepared {seconds} s ago, and neither committed nor rolled back.",
            f"the prepared transaction {gid!r} of {owner}",
            "It keeps its locks, and dead rows cannot be cleaned up behind it, over each restart.",
            f"{fence_monitor.rollback(gid)} or COMMIT PREPARED, by who coordinates it",
        )


def transaction_ids(limits: Limits) -> Iterator[Finding]:
    ((age,),) = rows(XID_AGE)
    if age >= limits.xid_age:
        yield Finding(
            "transaction-ids",
            WARNING if age < 1_800_000_000 else CRITICAL,
            f"The oldest transaction id is {age} old.",
            "autovacuum, kept back by an old transaction, a slot or its settings",
            "At 2.1 thousand million PostgreSQL takes no writes any more.",
            "VACUUM (FREEZE);",
        )


def clock(limits: Limits, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    before = now()
    ((there,),) = rows(CLOCK)
    apart = there - (before + now()) / 2
    if abs(apart) > limits.clock_seconds:
        yield Finding(
            "clock",
            WARNING,
            f"The database's clock is {abs(apart):.1f} s {'ahead of' if apart > 0 else 'behind'}"
            " this machine's.",
            "this machine or the database's",
            "Order and deadlines are reckoned by the database alone, but logs and tokens of the two"
            " do not agree.",
            "chronyc makestep",
        )


def pooler(limits: Limits, *, told: Callable[[], int] | None = None) -> Iterator[Finding]:
    raw: Any = transaction.get_connection().connection
    if raw.prepare_threshold is not None and _is_a_poolers(told) and not _keeps_statements(raw):
        yield Finding(
            "pooler",
            WARNING,
            "Statements are prepared through a pooler that does not keep them.",
            "DATABASE_PREPARE_THRESHOLD",
            "They are looked for on a connection that never had them.",
            "Set DATABASE_PREPARE_THRESHOLD=0, or max_prepared_statements in PgBouncer 1.21 or"
            " newer.",
        )


def _is_a_poolers(told: Callable[[], int] | None) -> bool:
    """A pooler tells its client a process id of its own making, not that of the backend that
    answers."""
    ((answered,),) = rows(BACKEND)
    raw: Any = transaction.get_connection().connection
    return bool(answered != (told or (lambda: raw.info.backend_pid))())


def _keeps_statements(raw: Any) -> bool:
    """A pooler that does gives them names of its own; by any other, the server knows it under
    ours."""
    name = f"eventstore_look_{uuid4().hex}"
    with transaction.atomic():
        rows(BACKEND)  # from here on, one and the same connection to the server
        raw.pgconn.prepare(name.encode(), IS_PREPARED.encode())
        is_ours = raw.pgconn.exec_prepared(name.encode(), [name.encode()]).get_value(0, 0) == b"t"
        if is_ours:
            execute(compose("DEALLOCATE {name}", name=sql.Identifier(name))).close()
    return not is_ours


def disk(limits: Limits) -> Iterator[Finding]:
    """Only where the server is this machine's: of another's disk nothing is known from here."""
    for place, is_local, size in rows(PLACE):
        if not is_local or not Path(place).exists():
            return
        usage = shutil.disk_usage(place)
        if usage.free <= limits.disk_share * usage.total:
            yield Finding(
                "disk",
                WARNING if usage.free > 0.03 * usage.total else CRITICAL,
                f"{usage.free >> 20} MiB of {usage.total >> 20} are free, the database takes"
                f" {size >> 20}.",
                place,
                "With a full disk PostgreSQL stops; nothing is lost, nothing goes on.",
                "Make room; then, if it has stopped, start PostgreSQL again.",
            )


def log_epoch(limits: Limits) -> Iterator[Finding]:
    standing = epochs.ask()
    why = epochs.what_happened(standing)
    if why:
        yield Finding(
            "log-epoch",
            CRITICAL,
            (
                epochs.sentence(standing, why)
                if why in epochs.FOR_AN_OPERATOR
                else "The log waits for its next epoch."
            ),
            (
                f"PostgreSQL, after a {why}"
                if why not in epochs.FOR_AN_OPERATOR
                else "whoever restored or copied it"
            ),
            "Nothing is appended to a log that may have lost something before another epoch has"
            " begun.",
            'manage.py after_restore --reason "…"; after a crash or a promotion, any worker or'
            " writer begins it",
        )
        return
    for each in standing.epochs:
        if each.may_have_lost and each.settled_at is None:
            yield Finding(
                "log-epoch",
                WARNING,
                f"Epoch {each.number} of the log began at {each.began_at:%Y-%m-%d %H:%M:%S}"
                f" ({each.reason}): what lay behind position {each.intact} may be lost."
                f" {each.detail}".rstrip(),
                f"{each.reason}, timeline {each.timeline}",
                "Money may have been taken, or parcels booked, for orders that the log does not"
                " have.",
                'manage.py after_restore --reason "…"',
            )


CHECKS = (
    unbounded_waits,
    connections,
    old_transactions,
    prepared_transactions,
    transaction_ids,
    clock,
    pooler,
    disk,
    log_epoch,
)
