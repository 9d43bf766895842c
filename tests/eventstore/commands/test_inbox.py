"""The inbox: whatever comes from outside has its effect once, and is remembered with it or not at
all."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connections

from eventstore import log
from eventstore.codec import Unstorable
from eventstore.commands import inbox
from eventstore.models import Event, OutboxMessage, Received
from eventstore.outbox import received
from eventstore.subscriptions import Commands
from eventstore.testing import drain
from tests.eventstore.concurrently import in_thread, until_waiting
from tests.eventstore.toy import Count

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


def receive(message_id="m1", source="bank"):
    return inbox.receive(source, message_id, [Count("a", 1)])


def outgoing():
    return OutboxMessage.objects.filter(topic="toy").count()


def test_a_new_message_owes_its_commands(toys):
    toys({"toy": Commands()})
    assert receive()
    drain()
    assert Event.objects.get().stream == "counter-a"


def test_a_repeat_owes_nothing():
    assert receive()
    assert not receive()
    assert outgoing() == 1


@pytest.mark.parametrize("id_", ["", "a\0", "\ud800", "a\n", "\u2028", "x" * 256], ids=ascii)
def test_an_id_that_cannot_be_kept_or_logged_is_refused_and_owes_nothing(id_):
    with pytest.raises(Unstorable, match="Invalid message id"):
        receive(id_)
    assert outgoing() == 0


def test_the_longest_id_fits_the_index():
    """Of letters that do not shrink when they are packed, of four bytes each."""
    longest = "".join(chr(0x20000 + 37 * n) for n in range(255))
    assert receive(longest)
    assert not receive(longest)


def test_an_id_is_its_sources_own():
    assert receive(source="bank")
    assert receive(source="carrier")
    assert outgoing() == 2


def test_a_message_without_consequence_is_remembered_too():
    assert inbox.receive("bank", "m1")
    assert not receive()
    assert outgoing() == 0


def test_the_same_message_from_all_sides_at_once_has_one_effect():
    def receive_and_leave(_):
        try:
            return receive()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(16) as threads:
        new = list(threads.map(receive_and_leave, range(50)))
    assert sorted(new) == [False] * 49 + [True]
    assert outgoing() == 1


def test_who_comes_second_waits_for_the_first_and_takes_over_when_that_one_dies(another):
    """The gate: the first has remembered it and not committed; its connection is cut."""
    first = another()
    first.execute("BEGIN")
    first.execute("INSERT INTO eventstore_inbox (source, message_id) VALUES ('bank', 'm1')")
    second = in_thread(receive)
    until_waiting(another())
    first.close()
    assert second.result(5)
    assert outgoing() == 1


def test_what_could_not_be_owed_was_not_received(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(log, "write", fails)
        with pytest.raises(ConnectionError):
            receive()
    assert not Received.objects.exists()
    assert receive()
    assert outgoing() == 1


def fails(*args):
    raise ConnectionError("cut off")


def test_what_is_old_is_forgotten_and_nothing_else():
    receive("old")
    Received.objects.update(received_at="2020-01-01T00:00Z")
    receive("new")
    assert received.forget(older_than=timedelta(days=30)) == 1
    assert Received.objects.get().message_id == "new"
