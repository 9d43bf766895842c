"""Our own PostgreSQL and Redis: they respond, keep their data, find a free port, and stop."""

import re
import socket

import psycopg
import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tools.devserver import folder, ports, postgres, services
from tools.devserver.environment import BROKER, DATABASE, REDIS
from tools.devserver.errors import LauncherError
from tools.devserver.services import Services

from .conftest import busy


def test_they_answer_as_the_platform_needs_them_and_are_gone_afterwards():
    with folder.throwaway() as path, services.started(path) as found:
        assert setting(found, "wal_level") == "logical"
        assert setting(found, "fsync") == "on"
        assert setting(found, "server_encoding") == "UTF8"
        assert client(found).ping()
        assert found.settings[BROKER] == found.settings[REDIS].removesuffix("0") + "1"
    assert not path.exists()
    assert busy(path) == []


def test_what_is_written_is_there_after_the_next_start(data):
    with folder.claimed(data), services.started(data) as found:
        database(found).execute("CREATE TABLE kept AS SELECT 1 AS value")
        client(found).set("kept", "2")
    with folder.claimed(data), services.started(data) as found:
        assert database(found).execute("SELECT value FROM kept").fetchone() == (1,)
        assert client(found).get("kept") == b"2"


def test_a_service_that_the_environment_names_is_not_started(data, monkeypatch):
    monkeypatch.setenv(DATABASE, "postgresql://elsewhere/orders")
    monkeypatch.setenv(BROKER, "amqp://elsewhere")
    with folder.claimed(data), services.started(data) as found:
        assert set(found.settings) == {REDIS}


def test_a_port_that_somebody_took_meanwhile_is_passed_by(data, monkeypatch):
    monkeypatch.setenv(DATABASE, "postgresql://elsewhere/orders")
    with socket.socket() as somebody:
        somebody.bind((ports.HOST, 0))
        somebody.listen()
        given = iter([somebody.getsockname()[1], ports.free()])
        monkeypatch.setattr(ports, "free", lambda: next(given))
        with folder.claimed(data), services.started(data) as found:
            assert client(found).ping()


def test_a_server_that_does_not_start_shows_the_end_of_its_log(data, monkeypatch):
    monkeypatch.setitem(postgres.SETTINGS, "max_connections", "many")
    refused = pytest.raises(
        LauncherError, match='postgres did not start(?s:.*)"max_connections": "many"'
    )
    with folder.claimed(data), refused, services.started(data):
        pass


def test_a_password_is_asked_for():
    with folder.throwaway() as path, services.started(path) as found:
        with pytest.raises(psycopg.OperationalError, match="no password supplied"):
            psycopg.connect(without_password(found.settings[DATABASE]))
        with pytest.raises(redis.AuthenticationError):
            redis.Redis.from_url(
                without_password(found.settings[REDIS]), retry=Retry(NoBackoff(), 0)
            ).ping()


def setting(found: Services, name: str) -> str:
    return database(found).execute("SELECT current_setting(%s)", [name]).fetchone()[0]


def database(found: Services) -> psycopg.Connection:
    return psycopg.connect(found.settings[DATABASE], autocommit=True)


def client(found: Services) -> redis.Redis:
    return redis.Redis.from_url(found.settings[REDIS])


def without_password(url: str) -> str:
    return re.sub(":[^:]+@", "@", url)
