"""Workers say that they are there, and so does the beat."""

import os
import socket

import pytest
from django.db import OperationalError

from eventstore import postgres
from eventstore.delivery import heartbeats, worker
from eventstore.operations import maintenance

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture(autouse=True)
def _nothing_noted():
    heartbeats.forget_own()
    yield
    heartbeats.forget_own()


def test_a_worker_says_so_with_its_turn_and_not_with_every_one():
    worker.work(seconds=0)
    (first,) = heartbeats.heartbeats()
    worker.work(seconds=0)
    (second,) = heartbeats.heartbeats()
    assert (first.kind, first.connected) == ("worker", True)
    assert second.at == first.at


def test_the_beat_is_heard_by_what_it_sends():
    maintenance.watch()
    assert [each.kind for each in heartbeats.heartbeats()] == ["beat"]


def test_who_has_gone_is_told_from_who_is_there():
    with postgres.beside() as side:
        ((backend,),) = side.rows("SELECT pg_backend_pid()")
        side.execute(
            "INSERT INTO eventstore_heartbeat VALUES (DEFAULT, 'worker', 'x:1', %s, now())",
            [backend],
        )
        assert heartbeats.heartbeats()[0].connected
    postgres.execute("SELECT pg_terminate_backend(%s, 5000)", [backend]).close()
    assert not heartbeats.heartbeats()[0].connected


def test_those_long_gone_are_forgotten():
    worker.work(seconds=0)
    postgres.execute("UPDATE eventstore_heartbeat SET at = now() - interval '2 days'").close()
    heartbeats.forget()
    assert heartbeats.heartbeats() == []


def test_who_has_signed_off_is_not_listed_and_is_not_noted_again():
    worker.work(seconds=0)
    maintenance.watch()
    heartbeats.sign_off(heartbeats.WORKER)
    worker.work(seconds=0)
    assert [each.kind for each in heartbeats.heartbeats()] == ["beat"]


def test_the_name_tells_the_program_its_host_and_its_process(monkeypatch):
    monkeypatch.setattr(heartbeats, "_program", "second")
    worker.work(seconds=0)
    assert heartbeats.heartbeats()[0].name == f"second@{socket.gethostname()}:{os.getpid()}"


def test_a_database_that_is_away_keeps_nobody_from_ending(monkeypatch):
    def away(*args):
        raise OperationalError("away")

    monkeypatch.setattr(heartbeats, "execute", away)
    heartbeats.sign_off(heartbeats.WORKER)
