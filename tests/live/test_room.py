"""Limits of the number of sockets: of a process, and of one user."""

from contextlib import ExitStack, contextmanager
from threading import Barrier

import pytest
from websockets.exceptions import ConnectionClosed

from tests.eventstore.concurrently import in_thread, until
from tools.devserver import ports

from .conftest import Client, Live, received

MINE = "/ws/customers/me/"


@pytest.fixture(scope="module")
def narrow(django_db_setup, django_db_blocker):
    """A server with room for five sockets, and for three of each user."""
    with django_db_blocker.unblock():
        server = Live(ports.free(), LIVE_SOCKETS="5", LIVE_SOCKETS_PER_USER="3").start()
        yield server
        assert server.stop() == 0


@pytest.fixture
def there(narrow, ada, person):
    return Client(narrow, ada.user), Client(narrow, person("grace").user)


@contextmanager
def following(client, number):
    """Opens so many sockets of a client and returns those that are served."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(client.open(MINE)) for _ in range(number)]
        for socket in sockets:
            received(socket, 1, caught_up=True)
        yield sockets


def farewell(socket):
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=30)
    return closed.value.rcvd.code, closed.value.rcvd.reason


def test_a_user_has_so_many_and_no_more_and_nobody_else_has_fewer(there):
    ada, grace = there
    with following(ada, 3), ada.open(MINE) as fourth:
        assert farewell(fourth) == (
            4429,
            "too many open sockets of this user; close one first",
        )
        with following(grace, 1):
            pass


def test_who_closes_one_may_open_another(there):
    ada, _ = there
    with following(ada, 2):
        for _ in range(3):
            with following(ada, 1):
                assert ada.closed_with(MINE) == 4429
            until(lambda: _is_served(ada))


def test_when_all_come_at_once_exactly_so_many_are_served(there):
    ada, _ = there
    barrier = Barrier(5)

    def come():
        with ada.open(MINE) as socket:
            barrier.wait()
            try:
                received(socket, 1, caught_up=True)
                return "served"
            except ConnectionClosed as closed:
                return closed.rcvd.code
            finally:
                barrier.wait()

    results = [each.result(60) for each in [in_thread(come) for _ in range(5)]]
    assert sorted(results, key=str) == [4429, 4429, "served", "served", "served"]


def test_a_process_that_is_full_says_so_at_once_and_serves_again_when_somebody_leaves(there):
    ada, grace = there
    with following(ada, 3) as sockets, following(grace, 2):
        with grace.open(MINE) as one_too_many:
            assert farewell(one_too_many) == (
                1013,
                "too many sockets; retry in a moment",
            )
        sockets[0].close()
        until(lambda: _is_served(grace))


def test_strangers_take_nobodys_room(there):
    ada, _ = there
    for _ in range(10):
        assert ada.closed_with(MINE, headers={"Authorization": "Bearer nonsense"}) == 4401
        assert ada.closed_with(MINE, origin="https://evil.example") == 4403
    with following(ada, 3):
        pass


def _is_served(client):
    with client.open(MINE) as socket:
        try:
            received(socket, 1, caught_up=True)
            return True
        except ConnectionClosed:
            return False
