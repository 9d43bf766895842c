"""The servers that all contenders share: a fresh database and an empty broker for each run, removed
afterwards."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import redis
from psycopg import sql

DATABASE_URL = os.environ.get("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS_URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379/0")

CREATE = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
DROP = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
OWNER = "bench:owner"
BEGIN_LOG = """
    DELETE FROM eventstore_epoch;
    DELETE FROM eventstore_epoch_mark;
    SELECT eventstore_begin_epoch(NULL, 'first', '');
"""


@contextmanager
def database(*, like: str = "template0") -> Iterator[str]:
    """A new database, a copy of `like`; yields its URL and drops it afterwards."""
    name = f"bench_{uuid4().hex[:12]}"
    try:
        with _server() as server:
            server.execute(CREATE.format(sql.Identifier(name), sql.Identifier(name_of(like))))
            # So that no run pays for the dirty pages of the one before.
            server.execute("CHECKPOINT")
        _begin_log(at(DATABASE_URL, name))
        yield at(DATABASE_URL, name)
    finally:
        with _server() as server:
            server.execute(DROP.format(sql.Identifier(name)))


def _begin_log(url: str) -> None:
    """A copied log is not served until an operator confirms it. Here the copy is a log of its own,
    without an earlier epoch."""
    with psycopg.connect(url, autocommit=True) as copy:
        if copy.execute("SELECT to_regclass('eventstore_epoch') IS NOT NULL").fetchone() == (True,):
            copy.execute(BEGIN_LOG)


@contextmanager
def broker() -> Iterator[str]:
    """An empty Redis database; yields its URL and flushes it afterwards."""
    url = at(REDIS_URL, str(_claim()))
    try:
        yield url
    finally:
        with redis.Redis.from_url(url) as ours:
            ours.flushdb()


def at(url: str, name: str) -> str:
    """Another database of the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def name_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def facts() -> dict[str, str]:
    """The server settings that the figures depend on."""
    names = ("server_version", "fsync", "synchronous_commit", "full_page_writes", "shared_buffers")
    with _server() as server:
        return {name: _show(server, name) for name in names}


def _claim() -> int:
    with redis.Redis.from_url(REDIS_URL) as any_:
        count = int(any_.config_get("databases")["databases"])
    for number in reversed(range(count)):
        with redis.Redis.from_url(at(REDIS_URL, str(number))) as one:
            # The owner key keeps two benchmarks from using one database.
            if one.dbsize() == 0 and one.set(OWNER, os.getpid(), nx=True):
                return number
    raise SystemExit(f"bench: every database of {REDIS_URL} is in use")


def _server() -> psycopg.Connection:
    return psycopg.connect(at(DATABASE_URL, "postgres"), autocommit=True)


def _show(server: psycopg.Connection, name: str) -> str:
    row = server.execute("SELECT current_setting(%s)", [name]).fetchone()
    return str(row[0]) if row else ""
