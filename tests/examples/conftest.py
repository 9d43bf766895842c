"""The shop and the loyalty program, each with its worker and its reader, over a real broker."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from django.core.management import call_command
from django.test import TransactionTestCase
from psycopg import sql

from tests.journeys.conftest import Shop, url_of_the_test
from tests.messaging.conftest import server
from tools.devserver import kafka, programs, rabbitmq
from tools.devserver.environment import DATABASE, KAFKA, PARTNER_DATABASE, RABBITMQ
from tools.devserver.processes import ends_with_us

BROKERS = {"kafka": (kafka, KAFKA), "rabbitmq": (rabbitmq, RABBITMQ)}
# For one wait: after kill -9, a relay is taken over when its lease expires.
PATIENCE_SECONDS = 90.0
CREDITED = """
    SELECT data->>'order_id', type, (data->>'points')::int, correlation_id
    FROM eventstore_event
    WHERE stream = %s
    ORDER BY version
"""


class Services:
    """Processes on two databases and one broker."""

    def __init__(self, broker, address, database):
        self.broker, self.database = broker, database
        self.environment = os.environ | {
            BROKERS[broker][1]: address,
            DATABASE: url_of_the_test(),
            PARTNER_DATABASE: database,
            "EVENTSTORE_WAKE_WORKERS": "0",
            "LOG_LEVEL": "WARNING",
        }
        self.partner, self.shop = [], []

    def prepare(self):
        self._run(programs.partner, "migrate", "-v0")
        self._run(programs.manage, "brokers", "--create")
        self._run(programs.partner, "brokers", "--create")

    def start_shop(self):
        self.shop = [self._start(programs.manage, *each) for each in PROCESSES]

    def start_partner(self):
        self.partner = [self._start(programs.partner, *each) for each in PROCESSES]

    def kill_partner(self):
        _kill(self.partner)

    def kill(self):
        _kill([*self.partner, *self.shop])

    def points(self):
        """What manage.py points of the partner prints."""
        return self._run(programs.partner, "points").stdout

    def account(self, customer_id):
        """The partner's events of a customer: order, type, points, correlation."""
        with psycopg.connect(self.database) as connection:
            return connection.execute(CREDITED, [f"account-{customer_id}"]).fetchall()

    def _run(self, kind, *arguments):
        program = kind(arguments[0], *arguments, environment=self.environment)
        done = subprocess.run(
            program.command,
            cwd=program.folder,
            env=self.environment,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done

    def _start(self, kind, *arguments):
        program = kind(arguments[0], *arguments, environment=self.environment)
        return subprocess.Popen(
            program.command,
            cwd=program.folder,
            env=self.environment,
            preexec_fn=ends_with_us(signal.SIGKILL),
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )


PROCESSES = [("work", "--poll=0.1"), ("consume",)]


def _kill(processes):
    for each in processes:
        each.kill()
    for each in processes:
        each.wait()
    processes.clear()


@contextmanager
def database_of_the_partner():
    url = url_of_the_test()
    name = sql.Identifier(f"{url.rpartition('/')[2]}_loyalty")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield f"{url}_loyalty"
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@pytest.fixture(scope="package", params=BROKERS)
def services(request, django_db_setup, django_db_blocker):
    kind, _ = BROKERS[request.param]
    with ExitStack() as stack:
        # Tables are emptied at the end: to truncate them under a running worker is a deadlock.
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda self: None)
        broker = stack.enter_context(server(kind))
        with django_db_blocker.unblock():
            database = stack.enter_context(database_of_the_partner())
            found = Services(request.param, broker.address, database)
            stack.callback(call_command, "flush", interactive=False, verbosity=0)
            stack.callback(found.kill)
            found.prepare()
            found.start_shop()
            found.start_partner()
            yield found
            stack.close()


@pytest.fixture
def shop(services, transactional_db):
    return Shop()


def until(condition, *, seconds=PATIENCE_SECONDS):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"not within {seconds:.0f} s"
        time.sleep(0.05)
    return found
