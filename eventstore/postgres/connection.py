"""Statements and transactions on Django's own PostgreSQL connection, with prepared statements."""

import asyncio
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import psycopg
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections, transaction
from psycopg import IsolationLevel, pq, sql

from eventstore import settings

from . import prepared
from .arrays import TextsDumper

Result = TypeVar("Result")

# The text of an ORM query cannot force the use of an index. So a list makes the other plans
# expensive, for its own transaction only. Otherwise PostgreSQL would read and sort a whole table
# when the table's statistics are older than its rows.
ALONG_INDEXES = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', %s, true)"
)

# serialization_failure, deadlock_detected, lock_not_available
ROLLED_BACK = ("40001", "40P01", "55P03")
# In PostgreSQL, READ UNCOMMITTED is another name for READ COMMITTED.
READ_COMMITTED = (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)


class NotReadCommitted(DatabaseError):
    """The transaction has one snapshot (REPEATABLE READ or SERIALIZABLE). Reading or appending to
    the log in it would skip events.

    Begin the transaction as READ COMMITTED. Django does so unless OPTIONS["isolation_level"] says
    otherwise.
    """


class OnStandby(DatabaseError):
    """A standby cannot tell up to which position the log is complete: it does not know which
    appends are in progress on its primary."""


# SQLSTATE -> the exception for it.
ERROR_OF_STATE = {"ES003": NotReadCommitted, "ES004": OnStandby}


@contextmanager
def atomic() -> Iterator[None]:
    """Django's `atomic` on the default connection, but READ COMMITTED in the outermost transaction.
    The isolation level is part of BEGIN, so it costs no statement and works behind a pooler."""
    raw = _ready(DEFAULT_DB_ALIAS).connection
    level = raw.isolation_level
    if level in READ_COMMITTED or not prepared.is_idle(raw):
        with transaction.atomic():
            yield
        return
    raw.isolation_level = IsolationLevel.READ_COMMITTED
    try:
        with transaction.atomic():
            yield
    finally:
        if prepared.is_idle(raw):  # and not broken
            raw.isolation_level = level


def begin_read_committed(connection: Any, **_: Any) -> None:
    """Signal handler for new connections: begin transactions as READ COMMITTED, whatever the
    server, the database or the role have as their default. OPTIONS["isolation_level"] of the
    project takes precedence."""
    raw = connection.connection
    if connection.vendor == "postgresql" and raw.isolation_level is None:
        raw.isolation_level = IsolationLevel.READ_COMMITTED


def name_statements_by_text(connection: Any, **_: Any) -> None:
    """Signal handler for new connections: see prepared.NamedByText."""
    if connection.vendor == "postgresql" and settings.fast_path():
        prepared.name_by_text(connection.connection)


def write_arrays(connection: Any, **_: Any) -> None:
    """Signal handler for new connections: see arrays.TextsDumper."""
    if connection.vendor == "postgresql":
        connection.connection.adapters.register_dumper(list, TextsDumper)


def execute(statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS) -> Any:
    """Run one statement and return its cursor. using: the alias of the database.

    A plain psycopg cursor binds parameters on the server, so a statement is planned once per
    connection. Django's own cursor would have it parsed and planned each time. Errors, query
    logging and health checks are Django's.
    """
    database = _ready(using)
    return _execute(database, psycopg.Cursor(database.connection), statement, params)


def rows(
    statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[Any, ...]]:
    """Run one statement and fetch all rows."""
    return _fetch(statement, params, pq.Format.TEXT, using)


def rows_in_binary(
    statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[Any, ...]]:
    """As `rows`, in PostgreSQL's binary format: faster for thousands of rows, because numbers, ids
    and times need not be formatted and parsed.

    A json column comes as its text. Cast a jsonb column to json.
    """
    return _fetch(statement, params, pq.Format.BINARY, using)


def rows_meanwhile(
    statement: str, params: Sequence[Any], work: Callable[[], Result]
) -> tuple[Result, Sequence[tuple[Any, ...]] | None]:
    """Run `work` while the server runs the statement. Returns the result of `work` and the rows.

    The rows are as in `rows_in_binary`, but not decoded yet, so that the caller can decode them
    while the server runs the next statement. `work` must not use this connection.
    The rows are None where the statement was not sent: in a transaction, while queries are logged,
    or when the statement is not prepared yet.
    """
    database = _ready(DEFAULT_DB_ALIAS)
    if not settings.fast_path() or _is_watched(database):
        return work(), None
    with database.wrap_database_errors:
        receive = prepared.send(database.connection, statement, params, pq.Format.BINARY)
    if receive is None:
        return work(), None
    try:
        result = work()
    finally:
        # Even if `work` fails: the connection is unusable until the result is received.
        with database.wrap_database_errors:
            found = receive()
    return result, found


def delete_older(statement: str, older_than: timedelta, *, batch: int) -> int:
    """Delete in batches, each in a transaction of its own. Returns the number of deleted rows.

    statement: takes the age and the size of a batch.
    """
    deleted = 0
    while True:
        with transaction.atomic(), execute(statement, [older_than, batch]) as cursor:
            count = int(cursor.rowcount)
        deleted += count
        if count < batch:
            return deleted


def quoted(name: str) -> str:
    """The name of a table or column, which may be a word of SQL such as "order"."""
    return sql.Identifier(name).as_string(None)


def copy_into(table: str, lines: bytes) -> None:
    """Load rows in the text format of COPY, the fastest way into a table."""
    database = _ready(DEFAULT_DB_ALIAS)
    cursor = psycopg.Cursor(database.connection)
    with database.wrap_database_errors, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        copy.write(lines)


class OfThread(threading.local):
    """Caches Django's default connection of this thread: the lookup takes half as long as
    everything else in this module.

    Not used where an event loop runs in the thread: there Django keeps a connection per context.
    """

    database: Any = None


_of_thread = OfThread()


def _database(using: str) -> Any:
    if using != DEFAULT_DB_ALIAS or asyncio._get_running_loop() is not None:
        return connections[using]
    if _of_thread.database is None:
        _of_thread.database = connections[using]
    return _of_thread.database


def _ready(using: str) -> Any:
    # Kept in a variable: Django's `connection` looks up the real one at each attribute access.
    database = _database(using)
    if database.connection is not None and not database.health_check_done and database.autocommit:
        # Django would send SELECT 1 in each request. A look at the socket is enough: if the server
        # has hung up or is about to, there is something to read; an idle connection has nothing.
        is_suspect = database.connection.closed
        if not is_suspect:
            poll = select.poll()
            poll.register(database.connection.fileno(), select.POLLIN)
            is_suspect = bool(poll.poll(0))
        if is_suspect:
            database.close_if_health_check_failed()
        database.health_check_done = True
    database.ensure_connection()
    return database


def _fetch(
    statement: str, params: Sequence[Any], format: pq.Format, using: str
) -> list[tuple[Any, ...]]:
    database = _ready(using)
    try:
        return _fetch_once(database, statement, params, format)
    except DatabaseError as error:
        named = ERROR_OF_STATE.get(str(getattr(error.__cause__, "sqlstate", None)))
        if named is None:
            raise
        idle = using == DEFAULT_DB_ALIAS and prepared.is_idle(database.connection)
        if named is OnStandby or not idle:
            raise named(str(error)) from error
    # The server's default isolation refused it, nothing happened: repeat it in a transaction.
    with atomic():
        return _fetch_once(database, statement, params, format)


def _fetch_once(
    database: Any, statement: str, params: Sequence[Any], format: pq.Format
) -> list[tuple[Any, ...]]:
    if _is_watched(database):
        cursor = prepared.cursor(database.connection, format)
        with _execute(database, cursor, statement, params) as executed:
            return list(executed.fetchall())
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        found = prepared.run(
            database.connection, statement, params, format, fast=settings.fast_path()
        )
    return list(found.fetchall())


def _execute(database: Any, cursor: Any, statement: str, params: Sequence[Any]) -> Any:
    if _is_watched(database):
        watched = database.make_debug_cursor(cursor)
        watched.execute(statement, params)
        return watched
    # What Django's cursor does, without its layers for query logging and execute_wrapper().
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        cursor.execute(statement, params)
    return cursor


def _is_watched(database: Any) -> bool:
    return bool(database.queries_logged or database.execute_wrappers)


def connect() -> None:
    connection.ensure_connection()


def reported_backend() -> int:
    """The process id of the backend as the connection got it at its start. Behind a pooler it is a
    number made up by the pooler."""
    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


def close() -> None:
    connection.close()


def was_rolled_back(error: Exception) -> bool:
    """Whether the server rolled the statement back because of another transaction (serialization
    failure, deadlock, lock timeout), so that it can be retried."""
    return getattr(error.__cause__, "sqlstate", None) in ROLLED_BACK


def is_lost() -> bool:
    return connection.connection is None or bool(connection.connection.closed)


def in_transaction() -> bool:
    """Whether the caller has a transaction open on the connection, by whatever means: atomic(),
    set_autocommit(False) or a BEGIN of its own. True also where a broken connection makes it
    unknown."""
    database = _database(DEFAULT_DB_ALIAS)
    if database.in_atomic_block or database.connection is None:
        return bool(database.in_atomic_block)
    return (
        not database.autocommit
        or database.connection.pgconn.transaction_status != pq.TransactionStatus.IDLE
    )


def forget_if_lost() -> bool:
    """Whether the connection broke; then it is closed, and the next statement opens a new one.

    Not for a caller that had a transaction open on it: call in_transaction() before the statement
    that may break.
    """
    lost = not connection.in_atomic_block and connection.autocommit and is_lost()
    if lost:
        connection.close()
    return lost


def compose(template: str, **parts: sql.Composable) -> str:
    """A statement with names or literals quoted by psycopg, where a parameter is not possible."""
    connection.ensure_connection()
    return sql.SQL(template).format(**parts).as_string(connection.connection)


@contextmanager
def along_indexes(*, in_their_order: bool) -> Iterator[None]:
    """Make PostgreSQL read by index, for lists that the ORM queries.

    in_their_order: one index has the rows in the order of the list, so that no sort is needed.
    """
    with transaction.atomic():
        rows(ALONG_INDEXES, ["off" if in_their_order else "on"])
        yield


class SideConnection:
    """A second connection, on which each statement commits at once."""

    def __init__(self) -> None:
        self.connection = connection.copy()

    def execute(self, statement: str, params: Sequence[Any] = ()) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)

    def rows(self, statement: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, params)
            return list(cursor.fetchall())


@contextmanager
def beside() -> Iterator[SideConnection]:
    """For writes that must survive a rollback of the current transaction or the death of the
    process."""
    side = SideConnection()
    try:
        yield side
    finally:
        side.connection.close()
