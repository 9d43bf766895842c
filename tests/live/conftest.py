"""A real WebSocket server on the test's database; a customer, and orders with events."""

import json
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from http.client import HTTPConnection

import pytest
from django.contrib.auth.models import User
from django.db import connection
from knox.models import AuthToken
from uuid_utils.compat import uuid7
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from access import accounts
from eventstore import log
from eventstore.money import Money
from orders.events import OrderCancelled, OrderLine, OrderPlaced
from shipping.commands import Address
from tools.devserver import ports

PATIENCE_SECONDS = 60.0


class Live:
    """python -m config.live; a second start listens on the same port."""

    def __init__(self, port, **settings):
        self.port, self.settings, self.process = port, settings, None

    def start(self):
        url, _, _ = os.environ["DATABASE_URL"].partition("?")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "config.live", "--port", str(self.port)],
            env=os.environ
            | {
                "DATABASE_URL": f"{url.rsplit('/', 1)[0]}/{connection.settings_dict['NAME']}",
                "LIVE_POLL_SECONDS": "0.01",
                "LIVE_RECHECK_SECONDS": "0.1",
                "LOG_LEVEL": "WARNING",
                "ALLOWED_HOSTS": "127.0.0.1,shop.example",
                "CSRF_TRUSTED_ORIGINS": "https://pages.example",
                "LIVE_SOCKETS_PER_USER": "100",
            }
            | self.settings,
        )
        until = time.monotonic() + PATIENCE_SECONDS
        while not self.answers():
            assert self.process.poll() is None, "the server did not start"
            assert time.monotonic() < until, "the server does not answer"
            time.sleep(0.05)
        return self

    def answers(self):
        try:
            connection = HTTPConnection(ports.HOST, self.port, timeout=5)
            connection.request("GET", "/health/live")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_SECONDS)

    def url(self, path):
        return f"ws://{ports.HOST}:{self.port}{path}"


class Client:
    """One person's sockets."""

    def __init__(self, live, user):
        self.live, self.user = live, user
        self.held, self.token = AuthToken.objects.create(user)

    def open(self, path, **options):
        headers = {"Authorization": f"Bearer {self.token}"} | options.pop("headers", {})
        # With many unread messages before it, the server's close frame would come late.
        waits = {"close_timeout": 0.5}
        return connect(
            self.live.url(path), additional_headers=headers, compression=None, **waits, **options
        )

    def closed_with(self, path, **options):
        with self.open(path, **options) as socket:
            return end_of(socket)


@pytest.fixture(scope="package")
def live(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock():
        server = Live(ports.free()).start()
        yield server
        assert server.stop() == 0


@pytest.fixture
def another_server(transactional_db):
    """A server that a test may kill."""
    server = Live(ports.free()).start()
    yield server
    server.stop(signal.SIGKILL)


@pytest.fixture
def person(live, transactional_db):
    def make(name, **rights):
        return Client(live, User.objects.create(username=name, **rights))

    return make


@pytest.fixture
def ada(person):
    return person("ada")


def placed(customer, order_id=None):
    """An order in the log; its id."""
    order_id = order_id or str(uuid7())
    event = OrderPlaced(
        order_id=order_id,
        customer_id=accounts.customer_id_of(customer.user),
        lines=(OrderLine("CUP", "A cup", 1, 1999),),
        charges=(),
        total=Money(1999, "EUR"),
        address=Address("Ada", "Square 1", "London", "SW1Y", "GB"),
        payment_method="tok_visa",
        placed_at=datetime.now(UTC),
    )
    log.append(f"order-{order_id}", [event], expected=log.NO_STREAM)
    return order_id


def happens(order_id, *reasons):
    """Appends more events to an order; the log does not check that they make sense."""
    events = [OrderCancelled(order_id, reason) for reason in reasons]
    return log.append(f"order-{order_id}", events, expected=log.STREAM_EXISTS).position


def received(socket, count, *, caught_up=False):
    """The next events; caught_up is among them only if it is asked for."""
    found = []
    while len(found) < count:
        message = json.loads(socket.recv(timeout=PATIENCE_SECONDS))
        if caught_up or "caught_up" not in message:
            found.append(message)
    return found


def end_of(socket):
    """The close code of a socket; messages before it are skipped."""
    try:
        while True:
            socket.recv(timeout=PATIENCE_SECONDS)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


def in_log(order_ids, after=0):
    """The positions of all events of these orders that clients may see."""
    streams = [f"order-{order_id}" for order_id in order_ids]
    return [each.position for each in log.read_log(after=after) if each.stream in streams]
