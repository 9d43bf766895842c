"""Faults as they happen, brought about on purpose and taken back: one for each check."""

import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.db import transaction

from eventstore import postgres, registry
from eventstore.delivery import heartbeats
from eventstore.operations import control
from eventstore.outbox import cursors
from eventstore.postgres import execute, rows
from eventstore.projections import rebuild

from . import delivery as delivering
from . import server
from .findings import Limits

LIMITS = Limits()
# Nobody has to wait for minutes to see what lasts for minutes.
SOON = timedelta(seconds=0.2)
WAIT_SECONDS = 0.4
SILENT = timedelta(seconds=2)

APPEND = "SELECT eventstore_append(%s::json, NULL)"
ENQUEUE = """
    INSERT INTO eventstore_outbox (position, topic, key, type, id, payload, metadata, created_at)
    VALUES (nextval('eventstore_position'), %s, 'a', 'doctor.nothing', gen_random_uuid(), '{}',
        '{}',
            now() - interval '1 day')
"""
STAND_STILL = "UPDATE eventstore_subscription SET moved_at = now() - interval '1 hour'"
PASS = """
    UPDATE eventstore_subscription
    SET position = (SELECT max(position) FROM eventstore_outbox)
    WHERE name <> 'eventstore.outbox'
"""
PARK = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error)
    SELECT 'eventstore.snapshots', number, 'a', %s, 12, now() + %s, 'Boom'
    FROM generate_series(1, %s) AS number
"""
RUN = """
    INSERT INTO eventstore_saga (saga, key, status, state, position, correlation_id, deadline_at)
    VALUES ('doctor', 'a', %s, '{}', 1, gen_random_uuid(), now() + %s)
"""
HEAR = (
    "INSERT INTO eventstore_heartbeat (kind, name, backend, at) VALUES ('worker', 'elsewhere:1',"
    " %s, now())"
)
FAIL = "UPDATE eventstore_rebuild SET state = 'failed', error = 'Boom'"
LIMIT_CONNECTIONS = (
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I CONNECTION LIMIT {most}', current_database());"
    " END $$"
)
SAY = """
    DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET {name} = %%L', current_database(),
        '{value}'); END $$
"""
UNSAY = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I RESET {name}', current_database()); END $$"
ANSWER_NOTHING = """
    CREATE OR REPLACE FUNCTION eventstore_has_parked(owner text) RETURNS boolean
    LANGUAGE sql AS 'SELECT false'
"""
PREPARE = "PREPARE TRANSACTION 'doctor'"
ROLL_BACK = "ROLLBACK PREPARED 'doctor'"
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
PREPARES = "SELECT current_setting('max_prepared_transactions') <> '0'"
UNGUARD = "ALTER TABLE eventstore_event DISABLE TRIGGER {guard}"
GUARD = "ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {guard}"
UNMIGRATE = """
    DELETE FROM django_migrations
    WHERE id = (SELECT max(id) FROM django_migrations WHERE app = 'eventstore')
    RETURNING app, name
"""
MIGRATE = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"

LOSE = (
    "SELECT eventstore_begin_epoch((SELECT mark FROM eventstore_epoch_mark), 'went back', 'Boom')"
)
FIND_AGAIN = """
    WITH over AS (DELETE FROM eventstore_epoch WHERE reason = 'went back')
    UPDATE eventstore_epoch_mark
    SET mark = (SELECT mark FROM eventstore_epoch WHERE reason <> 'went back'
        ORDER BY number DESC LIMIT 1)
"""

LATER = timedelta(hours=1)
EARLIER = -LATER

Fault = Callable[[], AbstractContextManager[Any]]


def be_at_work() -> None:
    """As a worker and the beat, who would be there."""
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    heartbeats.note(heartbeats.BEAT)


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def _said(do: str, undo: str, params: tuple[Any, ...] = ()) -> Iterator[None]:
    execute(do, params).close()
    try:
        yield
    finally:
        execute(undo).close()


@contextmanager
def _left_open(statement: str, *params: Any) -> Iterator[None]:
    """A transaction that somebody has begun and does not end."""
    with postgres.beside() as beside:
        beside.execute("BEGIN")
        beside.execute(statement, params)
        time.sleep(WAIT_SECONDS)
        try:
            yield
        finally:
            beside.execute("ROLLBACK")


@contextmanager
def _dead_subscription() -> Iterator[None]:
    with _said(ENQUEUE, "DELETE FROM eventstore_outbox", (next(iter(registry.subscriptions())),)):
        execute(STAND_STILL).close()
        yield


@contextmanager
def _passed_and_kept() -> Iterator[None]:
    with (
        _said(ENQUEUE, "DELETE FROM eventstore_outbox", (cursors.SNAPSHOTS,)),
        _said(PASS, "UPDATE eventstore_subscription SET position = 0"),
    ):
        yield


@contextmanager
def _paused() -> Iterator[None]:
    name = next(iter(registry.subscriptions()))
    control.pause(name, who="doctor", reason="a try")
    try:
        yield
    finally:
        control.resume(name, who="doctor")


@contextmanager
def _deaf_worker() -> Iterator[None]:
    """Its connection lives, and it says nothing."""
    with postgres.beside() as beside:
        backend = beside.rows("SELECT pg_backend_pid()")[0]
        with _said(HEAR, "DELETE FROM eventstore_heartbeat WHERE name = 'elsewhere:1'", backend):
            time.sleep(SILENT.total_seconds() + WAIT_SECONDS)
            be_at_work()
            yield


@contextmanager
def _failed_rebuild() -> Iterator[None]:
    name = rebuild.projections()[0]
    rebuild.request(name, who="doctor")
    rebuild.cancel(name, who="doctor")
    with (
        _said("SELECT", "DELETE FROM eventstore_rebuild"),
        _said(FAIL, "DELETE FROM eventstore_rebuild_share"),
    ):
        yield


@contextmanager
def _no_broker() -> Iterator[None]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens there
        url = f"redis://127.0.0.1:{taken.getsockname()[1]}/0"
        with _set("CELERY_BROKER_URL", url), _set("EVENTSTORE_WAKE_WORKERS", True):
            yield


@contextmanager
def _no_schemas() -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory() as empty,
        _set("EVENTSTORE_SCHEMAS", type(settings.BASE_DIR)(empty)),
    ):
        yield


@contextmanager
def _set(name: str, value: Any) -> Iterator[None]:
    was = getattr(settings, name)
    setattr(settings, name, value)
    try:
        yield
    finally:
        setattr(settings, name, was)


@contextmanager
def _database_says(name: str, value: str) -> Iterator[None]:
    """A setting of the database takes effect on new connections."""
    with _said(SAY.format(name=name, value=value), UNSAY.format(name=name)):
        transaction.get_connection().close()
        yield
    transaction.get_connection().close()


@contextmanager
def _connected_with(option: str) -> Iterator[None]:
    """As behind a pooler, where the server says otherwise than we."""
    database = transaction.get_connection()
    was = database.settings_dict["OPTIONS"]
    database.settings_dict["OPTIONS"] = was | {"options": f"{was.get('options', '')} -c {option}"}
    database.close()
    try:
        yield
    finally:
        database.settings_dict["OPTIONS"] = was
        database.close()


@contextmanager
def _prepared(statement: str, *params: Any) -> Iterator[None]:
    """For a commit in two phases, and forgotten between them."""
    with postgres.beside() as beside:
        beside.execute("BEGIN")
        beside.execute(statement, params)
        beside.execute(PREPARE)
        time.sleep(WAIT_SECONDS)
        try:
            yield
        finally:
            beside.execute(ROLL_BACK)


@contextmanager
def _behind() -> Iterator[None]:
    """As a restore without sequences leaves it, or a replica that was promoted."""
    execute(ENQUEUE, [cursors.SNAPSHOTS]).close()
    try:
        with _said(
            "SELECT setval('eventstore_position', 1, false)",
            "SELECT setval('eventstore_position', 1000000)",
        ):
            yield
    finally:
        execute("DELETE FROM eventstore_outbox").close()


def _empty_the_log() -> None:
    execute("DELETE FROM eventstore_outbox").close()
    with _said(
        UNGUARD.format(guard="eventstore_append_only"), GUARD.format(guard="eventstore_append_only")
    ):
        execute("DELETE FROM eventstore_event").close()


@contextmanager
def _unreadable() -> Iterator[None]:
    execute(APPEND, [_event("doctor.unheard_of")]).close()
    try:
        yield
    finally:
        _empty_the_log()


@contextmanager
def _migration_missing() -> Iterator[None]:
    (removed,) = rows(UNMIGRATE)
    try:
        yield
    finally:
        execute(MIGRATE, removed).close()


@contextmanager
def _other_text() -> Iterator[None]:
    ((made,),) = rows("SELECT pg_get_functiondef('eventstore_has_parked'::regproc)")
    with _said(ANSWER_NOTHING, str(made)):
        yield


@contextmanager
def _index_gone() -> Iterator[None]:
    ((made,),) = rows("SELECT pg_get_indexdef('eventstore_event_correlation'::regclass)")
    with _said("DROP INDEX eventstore_event_correlation", str(made)):
        yield


@contextmanager
def _away() -> Iterator[None]:
    """The server, as far as we can see."""
    database = transaction.get_connection()
    was = database.settings_dict["PORT"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        database.close()
        database.settings_dict["PORT"] = taken.getsockname()[1]
        try:
            yield
        finally:
            database.close()
            database.settings_dict["PORT"] = was


@contextmanager
def _seen_otherwise(room: Any, check: Any, **seen: Any) -> Iterator[None]:
    """What lies outside of the database's reach and ours: another clock, a pooler between us, a
    broker's memory."""
    was = room.CHECKS
    room.CHECKS = tuple(partial(check, **seen) if each is check else each for each in was)
    try:
        yield
    finally:
        room.CHECKS = was


@contextmanager
def _alarmed() -> Iterator[None]:
    with (
        _set("CELERY_BROKER_URL", "amqp://doctor@127.0.0.1/"),
        _set("EVENTSTORE_WAKE_WORKERS", True),
        _seen_otherwise(delivering, delivering.broker_alarm, told=lambda: "low on memory"),
        _seen_otherwise(delivering, delivering.broker, reach=lambda url: None),
    ):
        yield


def _event(type_: str) -> str:
    stream = (
        f'"stream": "doctor-{uuid4()}", "version": 1, "expected": 0, "id": "{uuid4()}", "type":'
        f' "{type_}"'
    )
    return (
        f'[{{{stream}, "schema_version": 1, "data": {{}}, "correlation_id": "{uuid4()}",'
        ' "metadata": {}}]'
    )


def _parked(status: str, due: timedelta, count: int) -> Fault:
    return partial(_said, PARK, "DELETE FROM eventstore_parked", (status, due, count))


def _saga(status: str, deadline: timedelta) -> Fault:
    return partial(_said, RUN, "DELETE FROM eventstore_saga", (status, deadline))


def _unheard(kind: str) -> Fault:
    return partial(_said, f"DELETE FROM eventstore_heartbeat WHERE kind = '{kind}'", "SELECT")


# A finding that several faults lead to has them behind a stroke.
FAULTS: dict[str, tuple[Fault, Limits]] = {
    "database": (_away, LIMITS),
    "fence": (lambda: _left_open(APPEND, _event("doctor.looked")), LIMITS._replace(fence=SOON)),
    "fence/prepared": (
        lambda: _prepared(APPEND, _event("doctor.looked")),
        LIMITS._replace(fence=SOON),
    ),
    "held-lane": (
        lambda: _left_open("UPDATE eventstore_subscription SET moved_at = now()"),
        LIMITS._replace(held=SOON),
    ),
    "dead-lane": (_dead_subscription, LIMITS),
    "paused-lane": (_paused, LIMITS),
    "retired-lane": (
        partial(
            _said,
            "INSERT INTO eventstore_subscription (name) VALUES ('doctor')",
            "DELETE FROM eventstore_subscription WHERE name = 'doctor'",
        ),
        LIMITS,
    ),
    "dead-letters": (_parked("dead", LATER, 1), LIMITS),
    "parked": (_parked("failed", LATER, LIMITS.parked), LIMITS),
    "lease": (_parked("leased", EARLIER, 1), LIMITS),
    "saga-attention": (_saga("NEEDS_ATTENTION", LATER), LIMITS),
    "saga-late": (_saga("PAYING", EARLIER), LIMITS),
    "outbox": (_passed_and_kept, LIMITS),
    "no-worker": (_unheard(heartbeats.WORKER), LIMITS),
    "no-beat": (_unheard(heartbeats.BEAT), LIMITS),
    "deaf-worker": (_deaf_worker, LIMITS._replace(silent=SILENT)),
    "rebuild": (_failed_rebuild, LIMITS),
    "broker": (_no_broker, LIMITS),
    "broker-alarm": (_alarmed, LIMITS),
    "unsafe-settings": (partial(_database_says, "synchronous_commit", "off"), LIMITS),
    "isolation": (partial(_connected_with, "default_transaction_isolation=serializable"), LIMITS),
    "isolation-of-others": (
        partial(_database_says, "default_transaction_isolation", "serializable"),
        LIMITS,
    ),
    "replication-role": (partial(_database_says, "session_replication_role", "replica"), LIMITS),
    "sequence": (
        partial(
            _said,
            "ALTER SEQUENCE eventstore_position CACHE 32",
            "ALTER SEQUENCE eventstore_position CACHE 1",
        ),
        LIMITS,
    ),
    "position": (_behind, LIMITS),
    "prepared-transaction": (lambda: _prepared("SELECT 1"), LIMITS._replace(transaction=SOON)),
    "unbounded-waits": (
        partial(
            _said,
            "SET idle_in_transaction_session_timeout = 0",
            "RESET idle_in_transaction_session_timeout",
        ),
        LIMITS,
    ),
    "log-epoch": (partial(_said, LOSE, FIND_AGAIN), LIMITS),
    "connections": (
        partial(_said, LIMIT_CONNECTIONS.format(most=1), LIMIT_CONNECTIONS.format(most=-1)),
        LIMITS,
    ),
    "old-transaction": (lambda: _left_open("SELECT 1"), LIMITS._replace(transaction=SOON)),
    "transaction-ids": (nothing, LIMITS._replace(xid_age=1)),
    "disk": (nothing, LIMITS._replace(disk_share=1.0)),
    "clock": (
        partial(_seen_otherwise, server, server.clock, now=lambda: time.time() + 3600),
        LIMITS,
    ),
    "pooler": (partial(_seen_otherwise, server, server.pooler, told=lambda: 0), LIMITS),
    "migrations": (_migration_missing, LIMITS),
    "functions": (
        partial(
            _said,
            "ALTER FUNCTION eventstore_has_parked(text) RENAME TO doctor_was_here",
            "ALTER FUNCTION doctor_was_here(text) RENAME TO eventstore_has_parked",
        ),
        LIMITS,
    ),
    "functions/text": (_other_text, LIMITS),
    "guards": (
        partial(
            _said,
            UNGUARD.format(guard="eventstore_append_only"),
            GUARD.format(guard="eventstore_append_only"),
        ),
        LIMITS,
    ),
    "guards/replica": (
        partial(
            _said,
            "ALTER TABLE eventstore_event ENABLE TRIGGER eventstore_never_truncated",
            GUARD.format(guard="eventstore_never_truncated"),
        ),
        LIMITS,
    ),
    "indexes": (_index_gone, LIMITS),
    "unreadable-events": (_unreadable, LIMITS),
    "schema-drift": (_no_schemas, LIMITS),
}

# What not every server, or not everybody, can bring about: asked before.
POSSIBLE = {
    "fence/prepared": PREPARES,
    "prepared-transaction": PREPARES,
    "replication-role": IS_SUPERUSER,
}


def possible() -> dict[str, tuple[Fault, Limits]]:
    """Those that can be brought about here."""
    asked = {name: rows(statement) == [(True,)] for name, statement in POSSIBLE.items()}
    return {name: fault for name, fault in FAULTS.items() if asked.get(name, True)}
