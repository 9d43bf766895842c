"""A worker whose connection broke is well again at its next turn, whoever keeps the connection open
meanwhile."""

import asyncio
import json
import os
import subprocess
import sys
from socket import (
    IPPROTO_TCP,
    SO_KEEPALIVE,
    SOL_SOCKET,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_USER_TIMEOUT,
    socket,
)

import pytest
from django.db import connection, connections, transaction

from eventstore import log, tasks
from eventstore.log import ANY, append
from eventstore.postgres import rows
from eventstore.testing import drain
from tests.eventstore.concurrently import in_thread, parameters, url_of_the_test
from tests.eventstore.toy import Counted, Tally
from tests.proxy import Proxy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture(autouse=True)
def _connected_again(toys):
    yield
    connection.close()


def break_the_connection(another):
    another().execute(
        "SELECT pg_terminate_backend(%s, 1000)", [connection.connection.info.backend_pid]
    )


def test_the_next_turn_connects_anew(another):
    append("counter-a", [Counted("a")], expected=ANY)
    break_the_connection(another)
    tasks.deliver()
    assert Tally.objects.get().heard == [1]


def test_so_does_a_turn_after_one_that_broke_in_the_middle(another, monkeypatch):
    append("counter-a", [Counted("a")], expected=ANY)
    real = log.write
    with monkeypatch.context() as patch:
        patch.setattr("eventstore.projections.project", lambda *args: break_the_connection(another))
        with pytest.raises(Exception, match="terminat|closed|lost"):
            tasks.deliver()
    assert log.write is real
    tasks.deliver()
    assert Tally.objects.get().heard == [1]


def test_a_request_that_finds_its_connection_broken_connects_anew(another):
    """Django begins a request by closing what is no longer usable; the engine's statements must go
    the same way."""
    append("counter-a", [Counted("a")], expected=ANY)
    break_the_connection(another)
    connection.close_if_unusable_or_obsolete()
    assert len(list(log.read_stream("counter-a"))) == 1


def test_a_connection_that_is_well_is_not_asked_how_it_is(monkeypatch):
    """Django would ask, with each request; a server that hangs up says so by itself."""
    append("counter-a", [Counted("a")], expected=ANY)
    asked = []
    monkeypatch.setattr(connection, "is_usable", lambda: asked.append(1) or True)
    connection.close_if_unusable_or_obsolete()
    assert len(list(log.read_stream("counter-a"))) == 1
    assert asked == []


def test_statements_are_planned_once_for_a_connection():
    for _ in range(4):
        append("counter-a", [Counted("a")], expected=ANY)
    drain()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE"
            " '%eventstore_append_open%'"
        )
        assert cursor.fetchone() == (1,)


def test_an_end_that_vanished_is_given_up_by_the_other():
    """No word comes from a machine without power: both kernels are told how long to wait for
    one."""
    connection.ensure_connection()
    with socket(fileno=os.dup(connection.connection.fileno())) as ours:
        seen = [
            ours.getsockopt(IPPROTO_TCP, each)
            for each in (TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT)
        ]
        assert ours.getsockopt(SOL_SOCKET, SO_KEEPALIVE) == 1
        assert ours.getsockopt(IPPROTO_TCP, TCP_USER_TIMEOUT) == 20_000
    names = (
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
        "tcp_user_timeout",
    )
    assert [*map(the_server_says, names)] == [*map(str, seen), "20000"] == ["10", "3", "3", "20000"]


OWN_NETWORK = ["unshare", "--map-root-user", "--net"]


@pytest.mark.skipif(
    subprocess.run(
        ["sh", "-c", " ".join([*OWN_NETWORK, "ip", "link"])], capture_output=True
    ).returncode
    != 0,
    reason="nobody may have a network of their own here",
)
def test_whoever_waits_for_a_server_that_vanished_hears_of_it(tmp_path):
    given = parameters()
    proxy = Proxy(given["host"], given["port"], path=f"{tmp_path}/way")
    environment = os.environ | {
        "DATABASE_URL": url_of_the_test(),
        "DJANGO_SETTINGS_MODULE": "config.settings",
    }
    command = [*OWN_NETWORK, sys.executable, "-m", "tests.eventstore.vanishing", proxy.host]
    try:
        # Without a time-out of the kernels' it would wait for a quarter of an hour.
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    finally:
        proxy.close()
    assert done.stdout.startswith("ready\n"), done.stderr
    assert "timed out" in done.stdout


SAYS_HOW_IT_IS_CONNECTED = """
import json, django
django.setup()
from django.db import connection, connections, transaction
connection.ensure_connection()
with connection.cursor() as cursor:
    cursor.execute(
        "SELECT current_setting('application_name'), current_setting('work_mem'),"
        " current_setting('jit')"
    )
    print(json.dumps({"host": connection.connection.info.host, "settings": cursor.fetchone()}))
"""


def connected_by(url):
    """As whoever has this DATABASE_URL."""
    environment = os.environ | {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "-c", SAYS_HOW_IT_IS_CONNECTED]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_socket_in_the_file_system_serves_as_well(tmp_path):
    given = parameters()
    proxy = Proxy(given["host"], given["port"], path=f"{tmp_path}/.s.PGSQL.5432")
    try:
        account = f"{given['user']}:{given['password'] or ''}"
        url = f"postgresql://{account}@/{given['dbname']}?host={tmp_path}"
        assert connected_by(url)["host"] == str(tmp_path)
    finally:
        proxy.close()


def test_what_the_address_says_for_itself_holds_beside_our_own():
    """Above all sslmode: who asks for an encrypted connection is not to have a plain one."""
    url = f"{url_of_the_test()}?application_name=ours&options=-c%20work_mem%3D5MB"
    assert connected_by(url)["settings"] == ["ours", "5MB", "off"]
    with pytest.raises(AssertionError, match="SSL"):
        connected_by(f"{url_of_the_test()}?sslmode=require")


def the_server_says(name):
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return cursor.fetchone()[0]


class TestWhose:
    """The engine speaks on Django's own connection, wherever Django keeps it: else it would be
    outside of `atomic`."""

    def test_in_a_thread(self):
        assert self.inside_of_a_transaction()

    def test_in_another_thread(self):
        rows("SELECT 1")
        assert in_thread(self.inside_of_a_transaction).result()

    def test_in_an_event_loop_of_a_thread_that_has_spoken_before(self, monkeypatch):
        rows("SELECT 1")
        monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")

        async def inside():
            try:
                return self.inside_of_a_transaction()
            finally:
                connections.close_all()

        assert asyncio.run(inside())
        assert self.inside_of_a_transaction()

    def inside_of_a_transaction(self):
        with transaction.atomic():
            ((number, backend),) = rows("SELECT pg_current_xact_id()::text, pg_backend_pid()")
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_current_xact_id()::text, pg_backend_pid()")
                return cursor.fetchone() == (number, backend)
