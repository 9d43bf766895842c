"""How the engine speaks to PostgreSQL: prepared statements on Django's own connection."""

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

from . import prepared

Done = TypeVar("Done")

# What the ORM writes cannot be bound to an index by its text. So a list is read with the other ways
# made dear, for its transaction alone: a table whose statistics are older than its rows would be
# read, and sorted, from end to end.
ALONG_INDEXES = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_sort', %s, true)"
)

# serialization_failure, deadlock_detected, lock_not_available
ROLLED_BACK = ("40001", "40P01", "55P03")
# PostgreSQL knows no READ UNCOMMITTED: it is another name for the same.
READ_COMMITTED = (IsolationLevel.READ_COMMITTED, IsolationLevel.READ_UNCOMMITTED)


class NotReadCommitted(DatabaseError):
    """The log was to be read or appended to in a transaction of one snapshot, in which events would
    be passed over.

    Begin it as READ COMMITTED, which is what Django begins unless OPTIONS["isolation_level"] says
    otherwise.
    """


class OnStandby(DatabaseError):
    """A standby was asked how far the log is complete: it does not know which appends are under way
    at its primary."""


NAMED = {"ES003": NotReadCommitted, "ES004": OnStandby}


@contextmanager
def atomic() -> Iterator[None]:
    """As Django's, on its default connection; the outermost is READ COMMITTED, whatever the project
    begins by default.

    It costs no statement: it is said with BEGIN, and so it holds behind a pooler, too.
    """
    raw = _ready(DEFAULT_DB_ALIAS).connection
    chosen = raw.isolation_level
    if chosen in READ_COMMITTED or not prepared.is_idle(raw):
        with transaction.atomic():
            yield
        return
    raw.isolation_level = IsolationLevel.READ_COMMITTED
    try:
        with transaction.atomic():
            yield
    finally:
        if prepared.is_idle(raw):  # and not broken
            raw.isolation_level = chosen


def begin_read_committed(connection: Any, **_: Any) -> None:
    """For a new connection of Django's: a transaction is what Django says that it is, whatever the
    server, the database or the role begin by default. What the project has chosen by
    OPTIONS["isolation_level"] stays chosen."""
    raw = connection.connection
    if connection.vendor == "postgresql" and raw.isolation_level is None:
        raw.isolation_level = IsolationLevel.READ_COMMITTED


def name_statements_by_text(connection: Any, **_: Any) -> None:
    """For a new connection of Django's: see prepared.NamedByText."""
    if connection.vendor == "postgresql":
        prepared.name_by_text(connection.connection)


def execute(statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS) -> Any:
    """Run one statement and return its cursor. using: which of Django's databases.

    A plain psycopg cursor binds on the server, so a statement is planned once for each connection,
    where Django's own would be parsed and planned anew each time. Errors, query logging and the
    connection's health are Django's.
    """
    database = _ready(using)
    return _executed(database, psycopg.Cursor(database.connection), statement, params)


def rows(
    statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[Any, ...]]:
    """Run one statement and fetch all of its answer."""
    return _rows(statement, params, pq.Format.TEXT, using)


def rows_in_binary(
    statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS
) -> list[tuple[Any, ...]]:
    """As rows, where there are thousands of them: numbers, ids and times that nobody has to spell,
    nor to read again.

    JSON comes as its text; what is kept as jsonb has to be cast to that.
    """
    return _rows(statement, params, pq.Format.BINARY, using)


def rows_meanwhile(
    statement: str, params: Sequence[Any], work: Callable[[], Done]
) -> tuple[Done, Sequence[tuple[Any, ...]] | None]:
    """Do some work while the server looks for rows; both, rows as rows_in_binary has them, but not
    loaded yet, so that this too can be done while the server looks for the next ones.

    The work is done without this connection. None for the rows: they were not looked for, as
    nothing can wait for them in a transaction, or where somebody watches, or the statement is not
    asked often.
    """
    database = _ready(DEFAULT_DB_ALIAS)
    if _is_watched(database):
        return work(), None
    with database.wrap_database_errors:
        take = prepared.send(database.connection, statement, params, pq.Format.BINARY)
    if take is None:
        return work(), None
    try:
        done = work()
    finally:
        # Whatever became of the work: nothing else can be asked until this is answered.
        with database.wrap_database_errors:
            found = take()
    return done, found


def delete_older(statement: str, older_than: timedelta, *, batch: int) -> int:
    """Delete in batches, each in a transaction of its own; returns how many rows were deleted.

    statement: takes the age and the size of a batch.
    """
    deleted = 0
    while True:
        with transaction.atomic(), execute(statement, [older_than, batch]) as cursor:
            count = int(cursor.rowcount)
        deleted += count
        if count < batch:
            return deleted


def copy_into(table: str, lines: bytes) -> None:
    """Rows in the text format of COPY: the fastest way into a table."""
    database = _ready(DEFAULT_DB_ALIAS)
    cursor = psycopg.Cursor(database.connection)
    with database.wrap_database_errors, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        copy.write(lines)


class OfThread(threading.local):
    """Django's default connection of this thread. To look it up takes half as long as all else that
    is done here.

    Where an event loop runs in the thread, Django keeps one for each context instead.
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
    # Kept in a variable: Django's `connection` looks for it with each attribute.
    database = _database(using)
    if database.connection is not None and not database.health_check_done and database.autocommit:
        _check_health(database)
    database.ensure_connection()
    return database


def _check_health(database: Any) -> None:
    """Django would ask SELECT 1 in each request. But a server that has hung up, or is about to, has
    said so: something is there to be read, where an idle connection has nothing."""
    if database.connection.closed or _can_be_read(database.connection.fileno()):
        database.close_if_health_check_failed()
    database.health_check_done = True


def _can_be_read(socket: int) -> bool:
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return bool(waiting.poll(0))


def _rows(
    statement: str, params: Sequence[Any], format: pq.Format, using: str
) -> list[tuple[Any, ...]]:
    database = _ready(using)
    try:
        return _found(database, statement, params, format)
    except DatabaseError as error:
        named = NAMED.get(str(getattr(error.__cause__, "sqlstate", None)))
        if named is None:
            raise
        if (
            named is OnStandby
            or using != DEFAULT_DB_ALIAS
            or not prepared.is_idle(database.connection)
        ):
            raise named(str(error)) from error
    # A statement by itself, where the server begins another isolation: nothing of it stands.
    with atomic():
        return _found(database, statement, params, format)


def _found(
    database: Any, statement: str, params: Sequence[Any], format: pq.Format
) -> list[tuple[Any, ...]]:
    if not _is_watched(database):
        with database.wrap_database_errors:
            found = prepared.ask(database.connection, statement, params, format)
        if found is not None:
            return list(found)
    cursor = prepared.cursor(database.connection)
    # Of the cursor and not of the statement, so that Django's cursor, which knows no binary, may
    # stand around it.
    cursor.format = format
    with _executed(database, cursor, statement, params) as answered:
        return list(answered.fetchall())


def _executed(database: Any, cursor: Any, statement: str, params: Sequence[Any]) -> Any:
    if _is_watched(database):
        watched = database.make_debug_cursor(cursor)
        watched.execute(statement, params)
        return watched
    # What Django's cursor does around a statement that nobody watches, without the layers for those
    # who do.
    database.validate_no_broken_transaction()
    with database.wrap_database_errors:
        cursor.execute(statement, params)
    return cursor


def _is_watched(database: Any) -> bool:
    return bool(database.queries_logged or database.execute_wrappers)


def connect() -> None:
    connection.ensure_connection()


def reported_backend() -> int:
    """The backend's process id as the connection was told it: of a pooler's own making, where there
    is one."""
    connection.ensure_connection()
    return int(connection.connection.info.backend_pid)


def close() -> None:
    connection.close()


def was_rolled_back(error: Exception) -> bool:
    """Whether the server took a statement back on account of others: nothing of it stands, and it
    may be said again."""
    return getattr(error.__cause__, "sqlstate", None) in ROLLED_BACK


def is_lost() -> bool:
    return connection.connection is None or bool(connection.connection.closed)


def in_transaction() -> bool:
    """Whether something of a caller's is open on the connection, by whatever means: atomic(),
    set_autocommit(False), a BEGIN of their own; or whether that cannot be said any more, for it is
    broken."""
    database = _database(DEFAULT_DB_ALIAS)
    if database.in_atomic_block or database.connection is None:
        return bool(database.in_atomic_block)
    return (
        not database.autocommit
        or database.connection.pgconn.transaction_status != pq.TransactionStatus.IDLE
    )


def forget_if_lost() -> bool:
    """Whether the connection broke; then the next statement has a new one. Not for who had a
    transaction on it: ask in_transaction before the statement that may break."""
    lost = not connection.in_atomic_block and connection.autocommit and is_lost()
    if lost:
        connection.close()
    return lost


def compose(template: str, **parts: sql.Composable) -> str:
    """A statement whose names or literals are put in by psycopg's own quoting, where no parameter
    can stand."""
    connection.ensure_connection()
    return sql.SQL(template).format(**parts).as_string(connection.connection)


@contextmanager
def along_indexes(*, in_their_order: bool) -> Iterator[None]:
    """For lists that the ORM reads. in_their_order: whether one index has what is looked for in the
    list's order, so that nothing needs to be sorted."""
    with transaction.atomic():
        rows(ALONG_INDEXES, ["off" if in_their_order else "on"])
        yield


class SideConnection:
    """A connection of its own, on which each statement is committed at once."""

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
    """For what must stay whatever becomes of our transaction, and of us."""
    other = SideConnection()
    try:
        yield other
    finally:
        other.connection.close()
