"""Every statement that any connection of this process sends is planned and counted beforehand, with
the same values."""

import gc
import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from operator import attrgetter
from typing import Any, NamedTuple

import psycopg
from django.db.backends.postgresql.base import DatabaseWrapper
from psycopg import sql
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer

PLANNED = re.compile(r"\s*(SELECT|WITH|INSERT|UPDATE|DELETE)\b", re.IGNORECASE)
CUSTOM, GENERIC = "custom", "generic"
# The same statement is asked again and again, mostly of the same size.
MOST_OF_ONE = 4
# More than this is read in the first call of a session, too, which loads the catalogue for the
# functions of the statement: it is read once more.
ONCE = 100
# What takes a lock of the session would keep it.
KEEPS_A_LOCK = re.compile("pg_(try_)?advisory_(un)?lock\\(")


class Look(NamedTuple):
    """One statement under one plan. items: rows that it answered or wrote, or values that it was
    given."""

    statement: str
    mode: str
    buffers: int
    items: int
    plan: str


class Watch:
    """met: each statement with its blanks made one, and how often. looks: what each read."""

    def __init__(self, *, most_of_one: int = MOST_OF_ONE) -> None:
        self.most_of_one = most_of_one
        self.met: Counter[str] = Counter()
        self.looks: list[Look] = []
        self._lock = threading.Lock()

    def __call__(self, execute: Any, statement: Any, params: Any, many: bool, context: Any) -> Any:
        text = " ".join(statement.split()) if isinstance(statement, str) else ""
        with self._lock:
            self.met[text] += 1
            seldom = self.met[text] <= self.most_of_one
        if seldom and not many and PLANNED.match(text) and not KEEPS_A_LOCK.search(text):
            self._look(context, statement, params or ())
        return execute(statement, params, many, context)

    def _look(self, context: Any, statement: str, params: Any) -> None:
        database, cursor = context["connection"], getattr(context["cursor"], "cursor", None)
        if database.needs_rollback or database.connection.info.transaction_status.name == "INERROR":
            return
        # Django binds on this side, so its statements have a plan of their own each time.
        modes = (CUSTOM,) if isinstance(cursor, psycopg.ClientCursor) else (CUSTOM, GENERIC)
        for mode in modes:
            found = look(database.connection, statement, params, mode)
            if found.buffers > ONCE:
                again = look(database.connection, statement, params, mode)
                found = min(found, again, key=attrgetter("buffers"))
            with self._lock:
                self.looks.append(found)


@contextmanager
def watched(watch: Watch) -> Any:
    """Of all connections, of whatever thread, also those that are open already."""

    def wrappers(self: Any) -> Any:
        found = self.__dict__.setdefault("execute_wrappers", [])
        if watch not in found:
            found.insert(0, watch)
        return found

    def put(self: Any, value: Any) -> None:
        self.__dict__["execute_wrappers"] = value

    DatabaseWrapper.execute_wrappers = property(wrappers, put)  # type: ignore[assignment]
    try:
        yield watch
    finally:
        del DatabaseWrapper.execute_wrappers
        forget(watch)


def forget(watch: Watch) -> None:
    for each in gc.get_objects():
        # By its type: of a weak reference, isinstance would ask what it refers to.
        if issubclass(type(each), DatabaseWrapper) and watch in each.execute_wrappers:
            each.execute_wrappers.remove(watch)


def look(connection: psycopg.Connection[Any], statement: str, params: Any, mode: str) -> Look:
    """What the statement reads under one kind of plan. It is carried out, and taken back."""
    asking = psycopg.ClientCursor(connection)
    in_transaction = connection.info.transaction_status.name != "IDLE"
    asking.execute("SAVEPOINT plans" if in_transaction else "BEGIN")
    try:
        return _looked(asking, statement, params, mode)
    finally:
        asking.execute(
            "ROLLBACK TO SAVEPOINT plans; RELEASE SAVEPOINT plans" if in_transaction else "ROLLBACK"
        )


def _looked(asking: psycopg.ClientCursor[Any], statement: str, params: Any, mode: str) -> Look:
    converted = PostgresQuery(Transformer(asking.connection))
    converted.convert(statement, list(params) if params else None)
    types = [_type(asking, oid) for oid in converted.types]
    asking.execute(
        sql.SQL("SET LOCAL plan_cache_mode = {}").format(sql.Literal(f"force_{mode}_plan"))
    )
    asking.execute(_prepare(converted.query.decode(), types))
    try:
        values = f"({', '.join(['%s'] * len(params))})" if params else ""
        explain = f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE plans{values}"
        asking.execute(explain, list(params) if params else None)
        ((explained,),) = asking.fetchall()
    finally:
        if asking.connection.info.transaction_status.name != "INERROR":
            asking.execute("DEALLOCATE plans")
    plan = (json.loads(explained) if isinstance(explained, str) else explained)[0]["Plan"]
    # What a part writes that nothing refers to is not in the sum on top.
    buffers = max(each["Shared Hit Blocks"] + each["Shared Read Blocks"] for each in nodes(plan))
    return Look(" ".join(statement.split()), mode, buffers, _items(plan, params), json.dumps(plan))


def _prepare(text: str, types: list[str]) -> str:
    listed = f" ({', '.join(types)})" if types else ""
    return f"PREPARE plans{listed} AS {text}"


_types: dict[int, str] = {}


def _type(asking: Any, oid: int) -> str:
    if oid not in _types:
        asking.execute(
            "SELECT CASE WHEN %s = 0 THEN 'unknown' ELSE format_type(%s::oid, NULL) END", [oid, oid]
        )
        _types[oid] = asking.fetchone()[0]
    return _types[oid]


def _items(plan: Any, params: Any) -> int:
    # What goes through a LIMIT is bounded by it, whatever becomes of it further on, such as a
    # count.
    through = ("ModifyTable", "Limit")
    written = [
        rows(each)
        for node in nodes(plan)
        if node["Node Type"] in through
        for each in node["Plans"][:1]
    ]
    return int(max([1, rows(plan), *written, *(_size(each) for each in params)]))


def _size(value: Any) -> int:
    if isinstance(value, list | tuple):
        return len(value)
    if isinstance(value, str) and value[:1] in "[{":
        try:
            return len(json.loads(value))
        except ValueError:
            return 1
    return 1


def rows(node: Any) -> float:
    return float(node["Actual Rows"] * node["Actual Loops"])


def nodes(plan: Any) -> Any:
    yield plan
    for each in plan.get("Plans", ()):
        yield from nodes(each)
