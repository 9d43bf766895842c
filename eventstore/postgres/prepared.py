"""A statement by itself in one call of libpq, for those that are asked thousands of times.

psycopg's cursors can be interrupted, watched from a loop, and begin a transaction on their way. A
prepared statement outside of any transaction needs none of it: without, it takes a third less of
the processor, and Python's lock is free for other threads from the moment it is sent until its
answer has come.
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
# A statement, and its parameters' types as PostgreSQL numbers them.
Key = tuple[str, tuple[int, ...] | None]

# No more than this are kept by name on one connection; what is made up anew each time would fill
# the server.
MOST = 100
# invalid_sql_statement_name: somebody let go of all that was prepared. feature_not_supported: the
# table has other columns now.
OUTDATED = (b"26000", b"0A000")
# duplicate_prepared_statement: through a pooler that keeps none, somebody else has prepared it
# there. It is the same.
THERE_ALREADY = b"42P05"


class StatementCache:
    """What one connection was asked: how often, until it is prepared, and then under which name.

    adapting: knows by now how the parameters' classes are written. For one statement at a time.
    loading: how values are read.
    """

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.adapting, self.loading = Transformer(connection), cursor(connection)
        self.asked: dict[Key, int] = {}
        self.names: dict[Key, bytes] = {}
        self.numbers = count()
        self._hear_of_deallocation(connection)

    def _hear_of_deallocation(self, connection: Any) -> None:
        """After DROP, ALTER and ROLLBACK, to a savepoint too, psycopg lets go of all that is
        prepared, ours with it.

        PostgreSQL says so when one of them is asked for; PgBouncer, which keeps them itself, hangs
        up instead.
        """
        psycopgs = connection._prepared
        clear = psycopgs.clear

        def clear_ours_too() -> bool:
            cleared: bool = clear()
            if cleared:
                self.names.clear()
            return cleared

        psycopgs.clear = clear_ours_too


class NamedByText(PrepareManager):
    """What psycopg's own cursors prepare, under names that tell the text.

    A mere number is another client's statement where a pooler gives us its connection: that would
    be run instead.
    """

    def get(self, query: Any, prepare: bool | None = None) -> tuple[Prepare, bytes]:
        asked, name = super().get(query, prepare)
        return asked, _named(name, *self.key(query)) if asked is Prepare.SHOULD else name


class Answer(Sequence[Row]):
    """Rows as they came from the server. Each is loaded when it is asked for; all of them, at once,
    by who iterates."""

    def __init__(self, known: StatementCache, result: Any) -> None:
        self.adapting, self.result = Transformer(known.loading), result
        self.adapting.set_pgresult(result)

    def __len__(self) -> int:
        return int(self.result.ntuples)

    def __getitem__(self, index: Any) -> Any:
        number = range(len(self))[index]
        return self.adapting.load_rows(number, number + 1, tuple)[0]

    def __iter__(self) -> Iterator[Row]:
        return iter(self.adapting.load_rows(0, len(self), tuple))


def name_by_text(connection: Any) -> None:
    """For a new connection, before anything is prepared on it."""
    named = NamedByText()
    named.prepare_threshold, named.prepared_max = (
        connection._prepared.prepare_threshold,
        connection._prepared.prepared_max,
    )
    connection._prepared = named


def cursor(connection: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
    """In binary, it gives JSON as its text, which psycopg would decode: the messages' own decoder
    is quicker."""
    asking = psycopg.Cursor(connection)
    asking.adapters.register_loader("json", TextBinaryLoader)
    return asking


def ask(
    connection: psycopg.Connection[Any], statement: str, params: Sequence[Any], format: pq.Format
) -> Answer | None:
    """None: a cursor has to ask, and nothing was sent.

    So it is within a transaction, behind a pooler that keeps no statements, and for what is rarely
    asked. Raises what the cursor would.
    """
    if not is_idle(connection):
        return None
    known = _of(connection)
    adapting, values = known.adapting, _adapted(known, params)
    key = (statement, adapting.types)
    if key not in known.names and not _is_asked_often(known, key, connection.prepare_threshold):
        return None
    with connection.lock:
        result = _answer(connection.pgconn, known, key, values, adapting.formats, format)
    if result.status != pq.ExecStatus.TUPLES_OK:
        raise _error(connection.pgconn, result, adapting.encoding)
    return Answer(known, result)


def send(
    connection: psycopg.Connection[Any], statement: str, params: Sequence[Any], format: pq.Format
) -> Callable[[], Answer | None] | None:
    """Ask for what `ask` has prepared already, and do not wait: what takes the answer. Nothing else
    can be asked until then. None, for either: to be asked by `ask`."""
    if not is_idle(connection):
        return None
    known = _of(connection)
    adapting, values = known.adapting, _adapted(known, params)
    name = known.names.get((statement, adapting.types))
    if name is None:
        return None
    with connection.lock:
        connection.pgconn.send_query_prepared(name, values, adapting.formats, format)

    def take() -> Answer | None:
        with connection.lock:
            result, *_ = iter(connection.pgconn.get_result, None)
        return Answer(known, result) if result.status == pq.ExecStatus.TUPLES_OK else None

    return take


def is_idle(connection: psycopg.Connection[Any]) -> bool:
    """Whether a statement would be committed by itself."""
    return (
        connection.autocommit and connection.pgconn.transaction_status == pq.TransactionStatus.IDLE
    )


def _adapted(known: StatementCache, params: Sequence[Any]) -> Any:
    return known.adapting.dump_sequence(params, [PyFormat.AUTO] * len(params))


def _of(connection: Any) -> StatementCache:
    """Kept on the connection itself, and gone with it."""
    known: StatementCache | None = getattr(connection, "eventstore_known", None)
    if known is None:
        known = connection.eventstore_known = StatementCache(connection)
    return known


def _is_asked_often(known: StatementCache, key: Key, threshold: int | None) -> bool:
    if threshold is None or len(known.names) >= MOST:
        return False
    if len(known.asked) > MOST:
        known.asked.clear()
    known.asked[key] = known.asked.get(key, 0) + 1
    return known.asked[key] > threshold


def _answer(
    pgconn: Any, known: StatementCache, key: Key, values: Any, formats: Any, format: pq.Format
) -> Any:
    result = _asked(pgconn, known, key, values, formats, format)
    if result.error_field(pq.DiagnosticField.SQLSTATE) not in OUTDATED:
        return result
    # Outside of a transaction nothing was lost by this.
    known.names.pop(key, None)
    return _asked(pgconn, known, key, values, formats, format)


def _asked(
    pgconn: Any, known: StatementCache, key: Key, values: Any, formats: Any, format: pq.Format
) -> Any:
    """The answer, or why it could not be prepared."""
    if key not in known.names:
        statement, types = key
        text = _numbered(statement)
        name = _named(b"eventstore_%d" % next(known.numbers), text, types)
        prepared = pgconn.prepare(name, text, types)
        if (
            prepared.status != pq.ExecStatus.COMMAND_OK
            and prepared.error_field(pq.DiagnosticField.SQLSTATE) != THERE_ALREADY
        ):
            return prepared
        known.names[key] = name
    return pgconn.exec_prepared(known.names[key], values, formats, format)


def _numbered(statement: str) -> bytes:
    """With $1, $2 … where psycopg has %s, and % where it has %%."""
    numbers = count(1)
    return re.sub(
        "%[s%]", lambda found: f"${next(numbers)}" if found[0] == "%s" else "%", statement
    ).encode()


def _named(number: bytes, text: bytes, types: Any) -> bytes:
    digest = blake2b(text + repr(types).encode(), digest_size=12).hexdigest()
    return b"%s_%s" % (number, digest.encode())


def _error(pgconn: Any, result: Any, encoding: str) -> psycopg.Error:
    if pgconn.status == pq.ConnStatus.BAD and not result.error_field(pq.DiagnosticField.SQLSTATE):
        return psycopg.OperationalError(result.get_error_message(encoding))
    return psycopg.errors.error_from_result(result, encoding)
