"""Fold the log with the code of one version: a program that replay_check runs once for each.

It is this file, whatever the version: the folder of the version, its argument, is first on its
path, and it imports nothing but the engine of that version. It reads in read-only transactions, and
writes nothing. Lines on standard input and output are JSON:

    out  {"scopes": {name: fields}}           what this version folds
    in   a plan                               the database, the range, the scopes and fields
    out  {"position": …, "events": […]}       one page; "events" is null behind the last one
    in   {}, or {"event": …, "item": …}       go on, or show one state of the page first
"""

import os
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Protocol

import django
import msgspec

PAGE = 500
# States in memory, in bytes of JSON; the others are in a temporary file.
MEMORY_BYTES = 64 << 20
# Of a state beside its JSON.
OVERHEAD_BYTES = 200

# Streams are chosen by what follows their category, so that the streams of one process are chosen
# together.
READ = """
    SELECT position, stream, version, type, schema_version, data, recorded_at
    FROM eventstore_event
    WHERE position > %s AND position <= %s
      AND (%s OR ('x' || left(md5(substr(stream, strpos(stream, '-') + 1)), 8))::bit(32)::bigint
                 < %s)
    ORDER BY position
    LIMIT %s
"""
READ_ONLY = "SET TRANSACTION READ ONLY"

encode = msgspec.json.Encoder(order="deterministic").encode
decode = msgspec.json.Decoder().decode


class Recorded(NamedTuple):
    """A row of READ."""

    position: int
    stream: str
    version: int
    type: str
    schema_version: int
    data: str
    recorded_at: Any

    @property
    def category(self) -> str:
        return self.stream.partition("-")[0]


class Outcome(NamedTuple):
    """What one event made of a state. shown: the state after it, as JSON of the compared fields.
    error: the class of what was raised; the state is kept then."""

    scope: "Scope"
    before: Any
    shown: bytes = b"null"
    error: str = ""


class Scope(Protocol):
    """One kind of state that events are folded into. fields: that both versions have."""

    fields: Sequence[str]

    def event_of(self, recorded: Recorded) -> Any:
        """None if it does not concern this scope. Raises what decoding raises."""

    def key(self, recorded: Recorded, event: Any) -> str: ...

    def fold(self, key: str, state: Any, recorded: Recorded, event: Any) -> Any:
        """state: None at the beginning."""

    def thawed(self, stored: bytes) -> Any:
        """A state from its JSON."""

    def values(self, state: Any) -> dict[str, Any]:
        """Of the compared fields."""


class OfAggregate:
    def __init__(self, aggregate: Any) -> None:
        self.aggregate = aggregate
        self.fields: Sequence[str] = fields_of(aggregate.initial)

    def event_of(self, recorded: Recorded) -> Any:
        if recorded.category != self.aggregate.category:
            return None
        return registry().decode(recorded.type, recorded.schema_version, recorded.data)

    def key(self, recorded: Recorded, event: Any) -> str:
        return recorded.stream

    def fold(self, key: str, state: Any, recorded: Recorded, event: Any) -> Any:
        return self.aggregate.apply(self.aggregate.initial if state is None else state, event)

    def thawed(self, stored: bytes) -> Any:
        return msgspec.json.decode(stored, type=type(self.aggregate.initial))

    def values(self, state: Any) -> dict[str, Any]:
        return {name: getattr(state, name, None) for name in self.fields}


class OfProjection:
    def __init__(self, name: str, projection: Any) -> None:
        self.projection = projection
        self.types = types_of(name)
        self.fields: Sequence[str] = sorted(
            field.column for field in projection.model._meta.concrete_fields
        )

    def event_of(self, recorded: Recorded) -> Any:
        if recorded.type not in self.types:
            return None
        return registry().decode(recorded.type, recorded.schema_version, recorded.data)

    def key(self, recorded: Recorded, event: Any) -> str:
        return str(self.projection.key(event))

    def fold(self, key: str, state: Any, recorded: Recorded, event: Any) -> Any:
        from eventstore.projections import fold_event

        is_own = recorded.category == self.projection.category
        version = recorded.version if is_own else None
        at = recorded.recorded_at
        return fold_event(self.projection, key, state, event, recorded.position, version, at)

    def thawed(self, stored: bytes) -> Any:
        return decode(stored)

    def values(self, state: Any) -> dict[str, Any]:
        return {name: state.get(name) for name in self.fields}


class OfSaga:
    """Only events: what deadlines and operators do to a process is not in the log."""

    def __init__(self, name: str, saga: Any) -> None:
        self.name, self.saga = name, saga
        self.types = types_of(name)
        self.fields: Sequence[str] = fields_of(saga.initial)

    def event_of(self, recorded: Recorded) -> Any:
        if recorded.type not in self.types or recorded.position <= self.saga.after:
            return None
        read = registry().reader_for(self.name, recorded.type, recorded.schema_version)
        return read(recorded.data)

    def key(self, recorded: Recorded, event: Any) -> str:
        return str(self.saga.key(event))

    def fold(self, key: str, state: Any, recorded: Recorded, event: Any) -> Any:
        before = self.saga.initial if state is None else state
        return self.saga.react[type(event)](before, event).state

    def thawed(self, stored: bytes) -> Any:
        return msgspec.json.decode(stored, type=type(self.saga.initial))

    def values(self, state: Any) -> dict[str, Any]:
        return {name: getattr(state, name, None) for name in self.fields}


class States:
    """The states by scope and key: those used last in memory, the others in a file."""

    def __init__(self, folder: str) -> None:
        self.memory: dict[tuple[int, str], tuple[Any, int]] = {}
        self.bytes = 0
        self.file = sqlite3.connect(os.path.join(folder, "states"), isolation_level=None)
        self.file.execute("PRAGMA journal_mode = OFF")
        self.file.execute("PRAGMA synchronous = OFF")
        self.file.execute(
            "CREATE TABLE state (scope INTEGER, key TEXT, value BLOB, PRIMARY KEY (scope, key))"
            " WITHOUT ROWID"
        )

    def get(self, number: int, key: str, scope: Scope) -> Any:
        """None if there is none."""
        if (found := self.memory.pop((number, key), None)) is not None:
            self.bytes -= found[1]
            return found[0]
        row = self.file.execute(
            "SELECT value FROM state WHERE scope = ? AND key = ?", (number, key)
        ).fetchone()
        return None if row is None or row[0] == b"null" else scope.thawed(row[0])

    def put(self, number: int, key: str, state: Any, size: int) -> None:
        """size: about, in bytes. What was used longest ago goes to the file."""
        self.memory[number, key] = state, size
        self.bytes += size
        if self.bytes <= MEMORY_BYTES:
            return
        rows = []
        for place, (old, its_size) in list(self.memory.items()):
            if self.bytes <= MEMORY_BYTES // 2:
                break
            del self.memory[place]
            self.bytes -= its_size
            rows.append((*place, encode(old)))
        self.file.execute("BEGIN")
        self.file.executemany("INSERT OR REPLACE INTO state VALUES (?, ?, ?)", rows)
        self.file.execute("COMMIT")


class Fold:
    """outcomes: of the present page, by event and item."""

    def __init__(self, scopes: Sequence[Scope], states: States) -> None:
        self.scopes, self.states = scopes, states
        self.outcomes: list[list[Outcome]] = []

    def page(self, events: Iterable[Recorded]) -> list[Any]:
        """[position, stream, version, type, [[scope, key, digest], …]] of each event."""
        self.outcomes, found = [], []
        for recorded in events:
            outcomes, items = list[Outcome](), list[Any]()
            for number, scope in enumerate(self.scopes):
                made = self._outcome(number, scope, recorded)
                if made is not None:
                    key, outcome = made
                    outcomes.append(outcome)
                    items.append([number, key, digest(outcome)])
            self.outcomes.append(outcomes)
            found.append([*recorded[:4], items])
        return found

    def _outcome(self, number: int, scope: Scope, recorded: Recorded) -> tuple[str, Outcome] | None:
        try:
            if (event := scope.event_of(recorded)) is None:
                return None
            key = scope.key(recorded, event)
        except Exception as error:  # noqa: BLE001  that it cannot be read is what it means here
            return recorded.stream, Outcome(scope, None, error=type(error).__name__)
        before = after = self.states.get(number, key, scope)
        raised = ""
        try:
            after = scope.fold(key, before, recorded, event)
        except Exception as error:  # noqa: BLE001  as above
            raised = type(error).__name__
        shown = as_json(scope, after)
        self.states.put(number, key, after, len(shown) + len(key) + OVERHEAD_BYTES)
        return key, Outcome(scope, before, shown, raised)


def as_json(scope: Scope, state: Any) -> bytes:
    """Of the compared fields."""
    return b"null" if state is None else encode(scope.values(state))


def digest(outcome: Outcome) -> str:
    return blake2b(outcome.shown + outcome.error.encode(), digest_size=8).hexdigest()


def fields_of(state: Any) -> list[str]:
    return [field.name for field in msgspec.structs.fields(state)]


def registry() -> Any:
    from eventstore import registry

    return registry


def types_of(name: str) -> frozenset[str]:
    from eventstore.outbox import cursors

    return frozenset(cursors.event_types_of(name))


def scopes() -> dict[str, Scope]:
    """What this version folds, by name."""
    from eventstore.subscriptions import Projection, Saga

    wired = registry()
    found: dict[str, Scope] = {
        f"aggregate {category}": OfAggregate(each) for category, each in wired.aggregates().items()
    }
    for name, each in wired.of_kind(Projection).items():
        found[f"read model {name}"] = OfProjection(name, each)
    for name, each in wired.of_kind(Saga).items():
        found[f"saga {name}"] = OfSaga(name, each)
    return found


def pages(plan: dict[str, Any]) -> Iterator[list[Recorded]]:
    """Each in a transaction of its own that cannot write, and lasts until the next page."""
    from django.db import transaction

    from eventstore.postgres import execute, rows_in_binary

    after, until = plan["after"], plan["until"]
    while after < until:
        with transaction.atomic():
            execute(READ_ONLY).close()
            threshold = plan["threshold"]
            params = [after, until, threshold >= 1 << 32, threshold, PAGE]
            page = [Recorded(*row) for row in rows_in_binary(READ, params)]
            yield page
        after = page[-1].position if len(page) == PAGE else until


def use_database(settings: dict[str, Any]) -> None:
    """The one that replay_check uses, whatever this version's settings say."""
    from django.db import connections

    connections["default"].settings_dict.update(settings)


def main(read: Callable[[], bytes], write: Callable[[Any], None]) -> None:
    django.setup()
    known = scopes()
    write({"scopes": {name: scope.fields for name, scope in known.items()}})
    plan = decode(read())
    use_database(plan["database"])
    chosen = []
    for name, fields in plan["scopes"].items():
        known[name].fields = fields
        chosen.append(known[name])
    with TemporaryDirectory() as folder:
        fold = Fold(chosen, States(folder))
        for page in pages(plan):
            events = fold.page(page)
            write({"position": page[-1].position if page else plan["until"], "events": events})
            while wanted := decode(read()):
                outcome = fold.outcomes[wanted["event"]][wanted["item"]]
                before = msgspec.Raw(as_json(outcome.scope, outcome.before))
                after = msgspec.Raw(outcome.shown)
                write({"before": before, "after": after, "error": outcome.error})
        write({"position": plan["until"], "events": None})


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    # What the version prints must not come between the lines.
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def say(line: Any) -> None:
        out.write(encode(line) + b"\n")
        out.flush()

    main(sys.stdin.buffer.readline, say)
