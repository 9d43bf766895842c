"""The outbox does not grow with the log, and nobody misses what was cleared."""

from datetime import timedelta

import pytest
from django.db import connection

from eventstore.commands import repository
from eventstore.log import ANY, append
from eventstore.models import OutboxMessage, Parked, Subscription
from eventstore.outbox import cursors
from eventstore.testing import drain
from tests.eventstore.toy import TALLIES, Counted, Tally

AT_ONCE = timedelta(0)

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture(autouse=True)
def _no_subscription_but_the_tests_own(toys):
    """A cursor that no wiring names any more would hold the outbox for ever."""
    Subscription.objects.all().delete()


def clear(retention=AT_ONCE):
    return cursors.clear(retention=retention)


def delivered(*amounts):
    append("counter-a", [Counted("a", amount) for amount in amounts], expected=ANY)
    drain()
    repository.take_snapshots()


def test_what_every_subscription_has_passed_is_cleared(toys):
    toys({"toy.tallies": TALLIES})
    delivered(1, 2, 3)
    assert clear() == 3
    assert not OutboxMessage.objects.exists()


def test_the_slowest_subscription_holds_what_it_has_not_passed(toys):
    toys({"toy.tallies": TALLIES, "toy.slow": TALLIES})
    Subscription.objects.filter(name="toy.slow").update(paused=True)
    delivered(1, 2, 3)
    assert clear() == 0
    assert OutboxMessage.objects.count() == 3


def test_what_is_young_stays_for_the_retention(toys):
    toys({"toy.tallies": TALLIES})
    delivered(1)
    assert clear(retention=timedelta(hours=1)) == 0


def test_a_parked_message_keeps_its_row_until_it_is_settled(toys):
    toys({"toy.tallies": TALLIES})
    append("counter-a", [Counted("a", 1, "boom")], expected=ANY)
    delivered(2)
    clear()
    assert OutboxMessage.objects.count() == Parked.objects.count() == 2
    Parked.objects.all().delete()
    clear()
    assert not OutboxMessage.objects.exists()


def test_a_younger_subscription_reads_from_the_log_and_then_from_the_outbox(toys):
    toys({"toy.tallies": TALLIES})
    delivered(1, 2)
    clear()
    append("counter-a", [Counted("a", 3)], expected=ANY)
    Tally.objects.all().delete()
    Subscription.objects.filter(name="toy.tallies").update(position=0)
    drain()
    assert Tally.objects.get().heard == [1, 2, 3]


def test_what_a_younger_subscription_parks_is_found_in_the_log(toys, monkeypatch):
    toys({"toy.tallies": TALLIES})
    delivered(1)
    clear()
    monkeypatch.setattr("eventstore.projections.project", lambda *_: 1 / 0)
    Subscription.objects.filter(name="toy.tallies").update(position=0)
    drain()
    assert Parked.objects.get().error.startswith("ZeroDivisionError")
    monkeypatch.undo()
    Tally.objects.all().delete()
    Parked.objects.update(due_at="2000-01-01T00:00Z")
    drain()
    assert Tally.objects.get().heard == [1]


def test_a_snapshot_that_somebody_holds_open_makes_reading_no_dearer(toys, another):
    """What is cleared cannot be vacuumed meanwhile; but subscriptions look ahead of their cursor,
    the dead lie behind it."""
    toys({"toy.tallies": TALLIES})
    holder = another()
    holder.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    holder.execute("SELECT count(*) FROM eventstore_outbox")
    pages = []
    for _ in range(12):
        append("counter-a", [Counted("a")] * 500, expected=ANY)
        pages.append(pages_of_a_read())
        drain()
        repository.take_snapshots()
        clear()
    assert max(pages[2:]) <= pages[1] * 1.5
    assert pages_of_a_read(after=0) > 2, (
        "who reads from the beginning walks over the dead, or this test proves nothing"
    )


def pages_of_a_read(after=None):
    """How many pages the database looks at for one batch of the subscription."""
    subscription = Subscription.objects.get(pk="toy.tallies").position if after is None else after
    plan = "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON)" + cursors.READ.format(types="'{}'")
    with connection.cursor() as cursor:
        cursor.execute("SELECT eventstore_fence()")
        cursor.execute(plan, [subscription, cursor.fetchone()[0], "toy.tallies", 500])
        ((explained,),) = cursor.fetchall()
    found = explained[0]["Plan"]
    return found["Shared Hit Blocks"] + found["Shared Read Blocks"]
