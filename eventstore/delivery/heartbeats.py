"""Heartbeats of workers, of Celery beat, and of processes of relays.

A worker process writes one every few seconds, as does a process of relays; a task of Celery beat
writes beat's. All sign off when they end. Behind a pooler a backend belongs to the pooler and
outlives its client, so no backend is recorded.
"""

import logging
import os
import socket
import time
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import Error

from eventstore import postgres
from eventstore.postgres import execute, rows

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
WORKER = "worker"
BEAT = "beat"
RELAYS = "relays"

RECORD = """
    INSERT INTO eventstore_heartbeat (kind, name, backend, at)
    VALUES (
        %s, %s, CASE WHEN pg_backend_pid() = %s THEN pg_backend_pid() ELSE 0 END, clock_timestamp()
    )
    ON CONFLICT (kind, name) DO UPDATE
    SET backend = EXCLUDED.backend, at = EXCLUDED.at
"""
SIGN_OFF = "DELETE FROM eventstore_heartbeat WHERE kind = %s AND name = %s"
IS_ALIVE = """
    SELECT EXISTS (
        SELECT FROM eventstore_heartbeat WHERE kind = %s AND at > clock_timestamp() - %s
    )
"""
FORGET = "DELETE FROM eventstore_heartbeat WHERE at < now() - interval '1 day'"
LIST = """
    SELECT kind, heartbeat.name, heartbeat.at,
           extract(epoch FROM clock_timestamp() - heartbeat.at)::double precision,
           EXISTS (
               SELECT FROM pg_stat_activity
               WHERE pid = backend AND datname = current_database()
                 AND backend_start <= heartbeat.at
           )
    FROM eventstore_heartbeat AS heartbeat
    ORDER BY kind, heartbeat.name
"""

# Caches of this process and of those that it forks: they limit how often a row is written. A test
# that has deleted the rows calls forget_own.
# (kind, process id) -> when its last heartbeat was written.
_written: dict[tuple[str, int], float] = {}
_signed_off: set[int] = set()
# The name of this program among others on the same host, such as that of a Celery node.
_program = "work"


class Heartbeat(NamedTuple):
    """name: program@host:pid, or "" for Celery beat. seconds: since the last heartbeat. connected:
    its backend is alive; False behind a pooler, where that is unknown."""

    kind: str
    name: str
    at: datetime
    seconds: float
    connected: bool


def consumer(name: str) -> str:
    """The kind of the processes that read for a consumer."""
    return f"consumer {name}"


def call(program: str) -> None:
    """Set the program's name in the heartbeats of this process and of those that it forks."""
    global _program
    _program = program


def note(kind: str) -> None:
    """Write a heartbeat, at most once in EVERY_SECONDS, and not after sign_off."""
    pid, now = os.getpid(), time.monotonic()
    if pid in _signed_off or now - _written.get((kind, pid), -EVERY_SECONDS) < EVERY_SECONDS:
        return
    execute(RECORD, [kind, _name(kind), postgres.reported_backend()]).close()
    _written[kind, pid] = now


def sign_off(*kinds: str) -> None:
    """Delete the heartbeats of a process that ends normally, so that it is not listed as lost.

    Does not wait for an unreachable database: then the row stays for a day, as that of a killed
    process does.
    """
    _signed_off.add(os.getpid())
    try:
        for kind in kinds:
            execute(SIGN_OFF, [kind, _name(kind)]).close()
    except Error as error:
        logger.warning("%s could not sign off: %s", _name(WORKER), error)


def _name(kind: str) -> str:
    # There is one Celery beat, and any worker process may run its task.
    return "" if kind == BEAT else f"{_program}@{socket.gethostname()}:{os.getpid()}"


def forget_own() -> None:
    """Make the next `note` write at once; for tests."""
    _written.clear()
    _signed_off.clear()


def forget() -> None:
    """Delete the heartbeats of processes that ended long ago."""
    execute(FORGET).close()


def is_alive(kind: str, *, within: timedelta) -> bool:
    """Whether a process of this kind has written a heartbeat within that time."""
    ((found,),) = rows(IS_ALIVE, [kind, within])
    return bool(found)


def heartbeats() -> list[Heartbeat]:
    return [Heartbeat(*row) for row in rows(LIST)]
