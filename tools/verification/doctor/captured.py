"""Faults of change data capture, with a real replication slot, publication and reader of it.

The limit of the WAL that slots keep applies to the whole server: these faults are injected only
where there is no other slot.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import psycopg
from django.db import transaction
from django.test.utils import override_settings

from eventstore.messaging.cdc import slots, ways
from eventstore.messaging.cdc.connector import NAME
from eventstore.postgres import execute, rows

from .ports import refused_port

SLOT = "doctor"
# Of max_slot_wal_keep_size.
ENOUGH, LITTLE, UNLIMITED = "1GB", "64MB", "-1"
SEGMENT_BYTES = 16 << 20
FAILED_TASK = {
    "connector": {"state": "RUNNING"},
    "tasks": [{"id": 0, "state": "FAILED", "trace": "Boom"}],
}

CAPTURE = """
    INSERT INTO eventstore_relay (name, token, settled, holder, until, way, pending)
    VALUES ('doctor@nowhere', 0, 0, '', now(), %s, %s)
"""
RELEASE = "DELETE FROM eventstore_relay WHERE name = 'doctor@nowhere'"
KEEP, STANDBYS, COMMIT = "max_slot_wal_keep_size", "synchronous_standby_names", "synchronous_commit"
SET = "ALTER SYSTEM SET {name} = '{value}'"
RESET = "ALTER SYSTEM RESET {name}"
RELOAD = "SELECT pg_reload_conf()"
IS_ALLOWED = f"""
    SELECT rolsuper AND current_setting('wal_level') = 'logical'
       AND NOT EXISTS (SELECT FROM pg_replication_slots)
       AND NOT EXISTS (
           SELECT FROM pg_settings
           WHERE name IN ('{KEEP}', '{STANDBYS}', '{COMMIT}') AND sourcefile LIKE '%%auto.conf'
       )
       AND current_setting('{STANDBYS}') = ''
    FROM pg_roles WHERE rolname = current_user
"""
WRITE = "SELECT pg_logical_emit_message(false, 'doctor', repeat('x', %s))"
NEXT_SEGMENT = "SELECT pg_switch_wal()"
PHYSICAL = "SELECT pg_create_physical_replication_slot(%s, true)"
START = f"""
    START_REPLICATION SLOT {SLOT} LOGICAL 0/0 (proto_version '1', publication_names '{SLOT}')
"""


@contextmanager
def relay(*, way: str = ways.CDC, pending: int = 0) -> Iterator[None]:
    """A publication that leaves by Debezium. pending: messages that it has not passed."""
    execute(CAPTURE, [way, pending]).close()
    try:
        with override_settings(EVENTSTORE_CDC_SLOT=SLOT):
            yield
    finally:
        execute(RELEASE).close()


@contextmanager
def unread(*, keep: str = ENOUGH, way: str = ways.CDC, pending: int = 0) -> Iterator[None]:
    """With a slot that no process reads. keep: how much WAL the server keeps for it."""
    with relay(way=way, pending=pending), kept(keep):
        slots.create_publication(SLOT)
        slots.create(SLOT, for_failover=slots.server().version >= slots.FAILOVER_VERSION)
        try:
            yield
        finally:
            slots.drop(SLOT)


@contextmanager
def read(*, keep: str = ENOUGH, way: str = ways.CDC, pending: int = 0) -> Iterator[None]:
    """With a slot that a process reads, which confirms nothing."""
    with unread(keep=keep, way=way, pending=pending), _reader():
        yield


@contextmanager
def lost() -> Iterator[None]:
    """The server has removed WAL that the slot needs."""
    with unread(keep="1MB"):
        for _ in range(3):
            fill_segment()
        execute("CHECKPOINT").close()
        yield


@contextmanager
def of_another_kind() -> Iterator[None]:
    """A slot of that name for a standby."""
    with relay(), kept(ENOUGH):
        execute(PHYSICAL, [SLOT]).close()
        try:
            yield
        finally:
            slots.drop(SLOT)


@contextmanager
def published(change: str) -> Iterator[None]:
    """With a publication that was changed. change: a statement with the name of it."""
    with read():
        execute(change.format(name=SLOT)).close()
        yield


@contextmanager
def behind(*, pending: int = 0) -> Iterator[None]:
    with read(pending=pending):
        execute(WRITE, [2 << 20]).close()
        yield


@contextmanager
def near_the_end() -> Iterator[None]:
    """The slot keeps more than half of the WAL that it may keep."""
    with read(keep=LITTLE):
        for _ in range(3):
            fill_segment()
        yield


@contextmanager
def without_connect() -> Iterator[None]:
    """Nothing listens at the address of Kafka Connect."""
    with refused_port() as port, connect_at(port), read():
        yield


@contextmanager
def connect_that_answers(status: int, answer: Any) -> Iterator[None]:
    """At the address of Kafka Connect a server answers in its format."""
    body = json.dumps(answer).encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == f"/connectors/{NAME}/status" else 400)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing on standard error."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with connect_at(server.server_port), read():
            yield
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def connect_at(port: int) -> Iterator[None]:
    with override_settings(EVENTSTORE_CDC_CONNECT_URL=f"http://127.0.0.1:{port}"):
        yield


@contextmanager
def kept(keep: str) -> Iterator[None]:
    """So much WAL is kept for a slot."""
    with _configured(KEEP, keep):
        yield


@contextmanager
def synchronous() -> Iterator[None]:
    """Commits would wait for Debezium; here they do not wait at all."""
    with _configured(COMMIT, "local"), _configured(STANDBYS, "*"), read():
        yield


def fill_segment() -> None:
    """One segment of WAL of the server."""
    execute(WRITE, [1]).close()
    execute(NEXT_SEGMENT).close()


@contextmanager
def _reader() -> Iterator[None]:
    """As Debezium: by the replication protocol."""
    params: Any = transaction.get_connection().get_connection_params()
    wanted = {name: params[name] for name in ("host", "port", "user", "password") if name in params}
    connection = psycopg.connect(
        **wanted, dbname=params["dbname"], autocommit=True, replication="database"
    )
    try:
        connection.pgconn.exec_(START.encode())
        yield
    finally:
        connection.close()
        _await_release()


def _await_release() -> None:
    """The server notices a moment later that a reader is gone."""
    found = slots.state(SLOT)
    while found is not None and found.is_active:
        rows("SELECT pg_sleep(0.02)")
        found = slots.state(SLOT)


@contextmanager
def _configured(name: str, value: str) -> Iterator[None]:
    ((before,),) = rows(f"SHOW {name}")
    _configure(SET.format(name=name, value=value), name, value)
    try:
        yield
    finally:
        _configure(RESET.format(name=name), name, before)


def _configure(statement: str, name: str, wanted: str) -> None:
    """The server reads its configuration a moment after it is asked to."""
    execute(statement).close()
    execute(RELOAD).close()
    while rows(f"SHOW {name}") != [(wanted,)]:
        rows("SELECT pg_sleep(0.02)")
