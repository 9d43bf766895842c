"""How the engine speaks to PostgreSQL: prepared statements on Django's own connection."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection, connections
from psycopg import sql
from psycopg.types.datetime import TimestamptzLoader

# serialization_failure, deadlock_detected, lock_not_available
ROLLED_BACK = ("40001", "40P01", "55P03")


def execute(statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS) -> Any:
    """Run one statement and return its cursor. using: which of Django's databases.

    A plain psycopg cursor binds on the server, so a statement is planned once for each connection, where Django's
    own would be parsed and planned anew each time. Errors, query logging and the connection's health are Django's.
    """
    database = connections[using]
    database.close_if_health_check_failed()
    database.ensure_connection()
    raw: Any = psycopg.Cursor(database.connection)
    # Django's own loader of times is written in Python; a batch holds thousands of them.
    raw.adapters.register_loader("timestamptz", TimestamptzLoader)
    wrap = database.make_debug_cursor if database.queries_logged else database.make_cursor
    cursor = wrap(raw)
    cursor.execute(statement, params)
    return cursor


def rows(statement: str, params: Sequence[Any] = (), *, using: str = DEFAULT_DB_ALIAS) -> list[tuple[Any, ...]]:
    with execute(statement, params, using=using) as cursor:
        return list(cursor.fetchall())


def was_rolled_back(error: Exception) -> bool:
    """Whether the server took a statement back on account of others: nothing of it stands, and it may be said again."""
    return getattr(error.__cause__, "sqlstate", None) in ROLLED_BACK


def forget_if_lost() -> bool:
    """Whether the connection broke outside of a transaction; then the next statement has a new one."""
    lost = not connection.in_atomic_block and (connection.connection is None or bool(connection.connection.closed))
    if lost:
        connection.close()
    return lost


def compose(template: str, **parts: sql.Composable) -> str:
    """A statement whose names or literals are put in by psycopg's own quoting, where no parameter can stand."""
    connection.ensure_connection()
    return sql.SQL(template).format(**parts).as_string(connection.connection)


class Beside:
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
def beside() -> Iterator[Beside]:
    """For what must stay whatever becomes of our transaction, and of us."""
    other = Beside()
    try:
        yield other
    finally:
        other.connection.close()
