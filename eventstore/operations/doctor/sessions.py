"""Our sessions on the server: timeouts that did not take effect, a pooler in between."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

from django.db import transaction
from psycopg import sql

from eventstore import postgres
from eventstore.postgres import compose, execute, rows

from .findings import WARNING, Finding, Limits

UNBOUNDED = """
    SELECT name
    FROM unnest(ARRAY['idle_in_transaction_session_timeout', 'lock_timeout']) AS name
    WHERE current_setting(name) = '0'
"""
# 7200 s is the default of the kernel. 0 is reported for a Unix socket, which needs no keepalive.
DEFAULT_KEEPALIVE = """
    SELECT 'tcp_keepalives_idle'
    WHERE current_setting('tcp_keepalives_idle')::integer >= 7200
"""
BACKEND = "SELECT pg_backend_pid()"
IS_PREPARED = "SELECT EXISTS (SELECT FROM pg_prepared_statements WHERE name = $1)"


def unbounded_waits(
    limits: Limits, *, reported_backend: Callable[[], int] = postgres.reported_backend
) -> Iterator[Finding]:
    missing = rows(UNBOUNDED)
    # The server's connection is that of a pooler, whose own settings decide about keepalives.
    if not _is_pooler(reported_backend):
        missing += rows(DEFAULT_KEEPALIVE)
    for (name,) in missing:
        yield Finding(
            check="unbounded-waits",
            severity=WARNING,
            what=f"Our connections do not set {name}.",
            culprit=name,
            why="A client that stops or vanishes in a transaction blocks others for hours, or for"
            " ever.",
            mend="Use OPTIONS of eventstore.defaults.connection() in DATABASES; behind a pooler,"
            " set it by ALTER ROLE … SET.",
        )


def pooler(
    limits: Limits, *, reported_backend: Callable[[], int] = postgres.reported_backend
) -> Iterator[Finding]:
    connection: Any = transaction.get_connection().connection
    prepares = connection.prepare_threshold is not None
    if prepares and _is_pooler(reported_backend) and not _keeps_statements(connection):
        yield Finding(
            check="pooler",
            severity=WARNING,
            what="Statements are prepared through a pooler that does not support it.",
            culprit="DATABASE_PREPARE_THRESHOLD",
            why="A prepared statement may be executed on a connection that does not have it.",
            mend="Set DATABASE_PREPARE_THRESHOLD=0, or max_prepared_statements in PgBouncer 1.21 or"
            " newer.",
        )


def _is_pooler(reported_backend: Callable[[], int]) -> bool:
    """A pooler reports a process id of its own, not that of the backend that runs the query."""
    ((actual,),) = rows(BACKEND)
    return bool(actual != reported_backend())


def _keeps_statements(connection: Any) -> bool:
    """Whether the pooler manages prepared statements: then it gives them names of its own, and the
    server does not know ours."""
    name = f"eventstore_look_{uuid4().hex}"
    with transaction.atomic():
        rows(BACKEND)  # from here on, the pooler keeps us on one server connection
        server = connection.pgconn
        server.prepare(name.encode(), IS_PREPARED.encode())
        found = server.exec_prepared(name.encode(), [name.encode()]).get_value(0, 0)
        is_our_name = found == b"t"
        if is_our_name:
            execute(compose("DEALLOCATE {name}", name=sql.Identifier(name))).close()
    return not is_our_name


CHECKS = (unbounded_waits, pooler)
