"""Where a read model stands is asked with each query, and must cost the same however far behind it
is."""

import pytest
from django.db import connection

from eventstore.log import ANY, append
from eventstore.models import OutboxMessage, Subscription
from eventstore.projections import freshness
from eventstore.testing import drain
from tests.eventstore.toy import TALLIES, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

MANY = 3000


@pytest.fixture(autouse=True)
def _tallies(toys):
    toys({"toy.tallies": TALLIES})


def counted(times):
    append("counter-a", [Counted("a")] * times, expected=ANY)


def progress():
    return freshness.standing(Tally, using="default")


def test_nothing_waits_when_all_is_delivered():
    counted(2)
    drain()
    assert (progress().waiting, progress().lag) == (None, 0)
    assert progress().holds(progress().seen)


def test_the_first_event_that_is_not_delivered_waits():
    counted(1)
    drain()
    reached = progress().position
    counted(3)
    assert progress().waiting > reached
    assert progress().lag > 0
    assert progress().holds(reached)
    assert not progress().holds(progress().seen)


def test_it_waits_too_when_the_outbox_was_cleared_further_than_the_subscription_has_come():
    counted(3)
    drain()
    before = progress()
    OutboxMessage.objects.all().delete()
    Subscription.objects.update_or_create(
        name="eventstore.outbox", defaults={"position": before.position}
    )
    Subscription.objects.filter(name="toy.tallies").update(position=before.position - 2)
    assert progress().waiting == before.position - 1


def test_a_read_model_that_nothing_was_ever_delivered_to_stands_nowhere():
    counted(1)
    Subscription.objects.all().delete()
    assert progress()[:2] == (None, None)
    assert not progress().holds(progress().seen), (
        "nothing is in it, though nothing is known to wait either"
    )


def test_a_backlog_makes_the_question_no_dearer():
    with connection.cursor() as cursor:
        cursor.execute("VACUUM")  # what other tests have deleted would be looked through
    counted(1)
    drain()
    before = pages_of_a_look()
    counted(MANY)
    assert pages_of_a_look() <= before + 10
    Subscription.objects.update_or_create(
        name="eventstore.outbox", defaults={"position": progress().seen}
    )
    assert pages_of_a_look() <= before + 10, "of an outbox that is cleared, the log is asked"


def pages_of_a_look():
    """How many pages the database looks at."""
    source = freshness._sources()[Tally]
    with connection.cursor() as cursor:
        cursor.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {source.look}",
            ["a", source.subscription, source.event_types, False],
        )
        ((explained,),) = cursor.fetchall()
    found = explained[0]["Plan"]
    return found["Shared Hit Blocks"] + found["Shared Read Blocks"]
