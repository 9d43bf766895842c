"""Run a prepared statement in one call of libpq, for statements that run thousands of times.

psycopg's cursors can be interrupted, can be watched from an event loop, and begin transactions. A
prepared statement outside a transaction needs none of that. Without it, a statement takes a third
less CPU time, and Python's GIL is free for other threads from sending until the result arrives.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from itertools import count
from typing import Any

import psycopg
from psycopg import pq
from psycopg._preparing import Prepare, PrepareManager
from psycopg.adapt import PyFormat, Transformer
from psycopg.types.string import TextBinaryLoader

Row = tuple[Any, ...]
# A statement, and the OIDs of its parameters' types.
Key = tuple[str, tuple[int, ...] | None]

# Maximum of prepared statements per connection: statements with generated text would fill the
# server's memory.
MOST = 100
# invalid_sql_statement_name: another client ran DEALLOCATE. feature_not_supported: the columns of
# the table have changed.
OUTDATED = (b"26000", b"0A000")
# duplicate_prepared_statement: behind a pooler without prepared statements, another client has
# prepared it on this server connection. The name comes from the text, so it is the same statement.
THERE_ALREADY = b"42P05"


class StatementCache:
    """The statements of one connection: how often each ran before it was prepared, and its name
    after that.

    adapting: caches how the parameters' classes are dumped; used by one statement at a time.
    loading: knows how values are loaded.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.adapting, self.loading = Transformer(connection), cursor(connection)
        self.runs: dict[Key, int] = {}
        self.names: dict[Key, bytes] = {}
        self.numbers = count()
        self._clear_names_with_psycopg(connection)

    def _clear_names_with_psycopg(self, connection: Any) -> None:
        """After DROP, ALTER and ROLLBACK (also to a savepoint), psycopg deallocates all prepared
        statements, ours with them. PostgreSQL would report the missing statement at its next use.
        PgBouncer, which tracks prepared statements itself, closes the connection instead."""
        manager = connection._prepared
        clear = manager.clear

        def clear_ours_too() -> bool:
            cleared: bool = clear()
            if cleared:
                self.names.clear()
            return cleared

        manager.clear = clear_ours_too


class NamedByText(PrepareManager):
    """Names the statements that psycopg's own cursors prepare after their text.

    psycopg numbers them. Behind a pooler, the same number may be another client's statement on the
    same server connection, and the wrong statement would run.
    """

    def get(self, query: Any, prepare: bool | None = None) -> tuple[Prepare, bytes]:
        state, name = super().get(query, prepare)
        return state, _name_of(name, *self.key(query)) if state is Prepare.SHOULD else name


class Answer(Sequence[Row]):
    """The rows of a result. Indexing decodes one row; iterating decodes all of them at once."""

    def __init__(self, statements: StatementCache, result: Any) -> None:
        self.adapting, self.result = Transformer(statements.loading), result
        self.adapting.set_pgresult(result)

    def __len__(self) -> int:
        return int(self.result.ntuples)

    def __getitem__(self, index: Any) -> Any:
        number = range(len(self))[index]
        return self.adapting.load_rows(number, number + 1, tuple)[0]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())

    def fetchall(self) -> list[Row]:
        return self.adapting.load_rows(0, len(self), tuple)


def name_by_text(connection: Any) -> None:
    """For a new connection, before a statement is prepared on it."""
    manager, before = NamedByText(), connection._prepared
    manager.prepare_threshold, manager.prepared_max = before.prepare_threshold, before.prepared_max
    connection._prepared = manager


def cursor(
    connection: psycopg.Connection[Any], format: pq.Format = pq.Format.TEXT
) -> psycopg.Cursor[Any]:
    """A cursor that in binary format gives JSON as text: the messages' own decoder is faster than
    psycopg's.

    The format is set on the cursor and not passed to execute(): Django's debug cursor, which wraps
    this one, has no parameter for it.
    """
    plain = psycopg.Cursor(connection)
    plain.adapters.register_loader("json", TextBinaryLoader)
    plain.format = format
    return plain


def run(
    connection: psycopg.Connection[Any],
    statement: str,
    params: Sequence[Any],
    format: pq.Format,
    *,
    fast: bool,
) -> "Answer | psycopg.Cursor[Any]":
    """Run the statement, with a cursor if `ask` cannot. fast: whether `ask` may be used."""
    answer = ask(connection, statement, params, format) if fast else None
    if answer is not None:
        return answer
    plain = cursor(connection, format)
    plain.execute(statement, params)
    return plain


def ask(
    connection: psycopg.Connection[Any], statement: str, params: Sequence[Any], format: pq.Format
) -> Answer | None:
    """Run the statement. None: nothing was sent; run it with a cursor.

    That is so in a transaction, behind a pooler without prepared statements, and for statements
    that run rarely. Raises what the cursor would raise.
    """
    if not is_idle(connection):
        return None
    statements = _statements_of(connection)
    adapting, values = statements.adapting, _dump(statements, params)
    key = (statement, adapting.types)
    if key not in statements.names:
        threshold = connection.prepare_threshold
        if threshold is None or len(statements.names) >= MOST:
            return None
        if len(statements.runs) > MOST:
            statements.runs.clear()
        statements.runs[key] = statements.runs.get(key, 0) + 1
        if statements.runs[key] <= threshold:
            return None
    pgconn, formats = connection.pgconn, adapting.formats
    with connection.lock:
        result = _run(pgconn, statements, key, values, formats, format)
        if result.error_field(pq.DiagnosticField.SQLSTATE) in OUTDATED:
            # Outside a transaction, the failed try has changed nothing.
            statements.names.pop(key, None)
            result = _run(pgconn, statements, key, values, formats, format)
    if result.status != pq.ExecStatus.TUPLES_OK:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        if pgconn.status == pq.ConnStatus.BAD and not state:
            raise psycopg.OperationalError(result.get_error_message(adapting.encoding))
        raise psycopg.errors.error_from_result(result, adapting.encoding)
    return Answer(statements, result)


def send(
    connection: psycopg.Connection[Any], statement: str, params: Sequence[Any], format: pq.Format
) -> Callable[[], Answer | None] | None:
    """Send a statement that `ask` has prepared, and do not wait. Returns the function that receives
    its rows. The connection is busy until that function is called.

    None, from either function: run the statement with `ask`.
    """
    if not is_idle(connection):
        return None
    statements = _statements_of(connection)
    adapting, values = statements.adapting, _dump(statements, params)
    name = statements.names.get((statement, adapting.types))
    if name is None:
        return None
    with connection.lock:
        connection.pgconn.send_query_prepared(name, values, adapting.formats, format)

    def receive() -> Answer | None:
        with connection.lock:
            result, *_ = iter(connection.pgconn.get_result, None)
        return Answer(statements, result) if result.status == pq.ExecStatus.TUPLES_OK else None

    return receive


def is_idle(connection: psycopg.Connection[Any]) -> bool:
    """Whether a statement would run in a transaction of its own."""
    return (
        connection.autocommit and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    )


def _statements_of(connection: Any) -> StatementCache:
    """Stored on the connection, so that it lives as long as the connection."""
    statements: StatementCache | None = getattr(connection, "eventstore_statements", None)
    if statements is None:
        statements = connection.eventstore_statements = StatementCache(connection)
    return statements


def _dump(statements: StatementCache, params: Sequence[Any]) -> Any:
    return statements.adapting.dump_sequence(params, [PyFormat.AUTO] * len(params))


def _run(
    pgconn: Any, statements: StatementCache, key: Key, values: Any, formats: Any, format: pq.Format
) -> Any:
    """The result, or the error of preparing the statement."""
    if key not in statements.names:
        statement, types = key
        # $1, $2 … where psycopg has %s, and % where it has %%.
        numbers = count(1)
        text = re.sub(
            "%[s%]", lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", statement
        ).encode()
        name = _name_of(b"eventstore_%d" % next(statements.numbers), text, types)
        result = pgconn.prepare(name, text, types)
        if (
            result.status != pq.ExecStatus.COMMAND_OK
            and result.error_field(pq.DiagnosticField.SQLSTATE) != THERE_ALREADY
        ):
            return result
        statements.names[key] = name
    return pgconn.exec_prepared(statements.names[key], values, formats, format)


def _name_of(number: bytes, text: bytes, types: Any) -> bytes:
    digest = blake2b(text + repr(types).encode(), digest_size=12).hexdigest()
    return b"%s_%s" % (number, digest.encode())
