"""Who is at work: each worker process says so every few seconds, and the beat by what it sends;
both sign off.

Behind a pooler a backend is the pooler's and outlives its client, so that it proves nothing: then
none is noted.
"""

import logging
import os
import socket
import time
from datetime import datetime
from typing import NamedTuple

from django.db import Error

from eventstore import postgres
from eventstore.postgres import execute, rows

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
WORKER = "worker"
BEAT = "beat"

NOTE = """
    INSERT INTO eventstore_heartbeat (kind, name, backend, at)
    VALUES (%s, %s, CASE WHEN pg_backend_pid() = %s THEN pg_backend_pid()
        ELSE 0 END, clock_timestamp())
    ON CONFLICT (kind, name) DO UPDATE
    SET backend = EXCLUDED.backend, at = EXCLUDED.at
"""
SIGN_OFF = "DELETE FROM eventstore_heartbeat WHERE kind = %s AND name = %s"
FORGET = "DELETE FROM eventstore_heartbeat WHERE at < now() - interval '1 day'"
LIST = """
    SELECT kind, heartbeat.name, heartbeat.at, extract(epoch
        FROM clock_timestamp() - heartbeat.at)::double precision,
           EXISTS (
               SELECT FROM pg_stat_activity
               WHERE pid = backend AND datname = current_database()
                   AND backend_start <= heartbeat.at
           )
    FROM eventstore_heartbeat AS heartbeat
    ORDER BY kind, heartbeat.name
"""

_noted: dict[tuple[str, int], float] = {}
_signed_off: set[int] = set()
# Of this program among others on the same host, such as the worker of a Celery node.
_program = "work"


class Heartbeat(NamedTuple):
    """name: program@host:pid, or "" for the beat. seconds: since it was last heard.

    connected: its backend lives; False behind a pooler, where that is unknown.
    """

    kind: str
    name: str
    at: datetime
    seconds: float
    connected: bool


def call(program: str) -> None:
    """What this process and those that it forks are called in their heartbeats, beside host and
    pid."""
    global _program
    _program = program


def note(kind: str) -> None:
    """At most once in a while, so that it costs a busy worker nothing; and not after it has signed
    off."""
    pid, now = os.getpid(), time.monotonic()
    if pid in _signed_off or now - _noted.get((kind, pid), -EVERY_SECONDS) < EVERY_SECONDS:
        return
    execute(NOTE, [kind, _name(kind), postgres.reported_backend()]).close()
    _noted[kind, pid] = now


def sign_off(*kinds: str) -> None:
    """For a process that ends in good order: it is not listed any more as one that was lost.

    A database that is away is not waited for: then the row stays for a day, as that of a process
    that was killed.
    """
    _signed_off.add(os.getpid())
    try:
        for kind in kinds:
            execute(SIGN_OFF, [kind, _name(kind)]).close()
    except Error as error:
        logger.warning("%s could not sign off: %s", _name(WORKER), error)


def _name(kind: str) -> str:
    # Any process may hear the beat, and there is one of it.
    return "" if kind == BEAT else f"{_program}@{socket.gethostname()}:{os.getpid()}"


def forget_own() -> None:
    """So that the next note is written, however soon it is."""
    _noted.clear()
    _signed_off.clear()


def forget() -> None:
    """Those that have long been gone."""
    execute(FORGET).close()


def heartbeats() -> list[Heartbeat]:
    return [Heartbeat(*row) for row in rows(LIST)]
