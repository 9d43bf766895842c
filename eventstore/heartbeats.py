"""Who is at work: each worker process says so every few seconds, and the beat by what it sends."""

import os
import socket
import time
from datetime import datetime
from typing import NamedTuple

from .postgres import execute, rows

EVERY_SECONDS = 5.0
WORKER = "worker"
BEAT = "beat"

NOTE = """
    INSERT INTO eventstore_heartbeat (kind, name, backend, at)
    VALUES (%s, %s, pg_backend_pid(), clock_timestamp())
    ON CONFLICT (kind, name) DO UPDATE
    SET backend = EXCLUDED.backend, at = EXCLUDED.at
"""
FORGET = "DELETE FROM eventstore_heartbeat WHERE at < now() - interval '1 day'"
LIST = """
    SELECT kind, heartbeat.name, heartbeat.at, extract(epoch FROM clock_timestamp() - heartbeat.at)::double precision,
           EXISTS (
               SELECT FROM pg_stat_activity
               WHERE pid = backend AND datname = current_database() AND backend_start <= heartbeat.at
           )
    FROM eventstore_heartbeat AS heartbeat
    ORDER BY kind, heartbeat.name
"""

_noted: dict[tuple[str, int], float] = {}


class Heartbeat(NamedTuple):
    """name: host and process, or "" for the beat. seconds: since it was last heard. connected: its backend lives."""

    kind: str
    name: str
    at: datetime
    seconds: float
    connected: bool


def note(kind: str) -> None:
    """At most once in a while, so that it costs a busy worker nothing."""
    place, now = (kind, os.getpid()), time.monotonic()
    if now - _noted.get(place, -EVERY_SECONDS) < EVERY_SECONDS:
        return
    # Any process may hear the beat, and there is one of it.
    execute(NOTE, [kind, "" if kind == BEAT else f"{socket.gethostname()}:{os.getpid()}"]).close()
    _noted[place] = now


def forget_own() -> None:
    """So that the next note is written, however soon it is."""
    _noted.clear()


def forget() -> None:
    """Those that have long been gone."""
    execute(FORGET).close()


def heartbeats() -> list[Heartbeat]:
    return [Heartbeat(*row) for row in rows(LIST)]
