"""A transaction of many appends takes one fence lock, whatever savepoints it takes back
meanwhile."""

import pytest
from django.db import connection, transaction

from eventstore import log
from eventstore.log import ANY, NO_STREAM, append, append_all
from eventstore.models import Event
from tests.eventstore.concurrently import in_thread
from tests.eventstore.toy import Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
FENCE = "SELECT eventstore_fence()"


def one(number):
    return append(f"counter-{number}", [Counted("a")], expected=NO_STREAM)


def at_any_version(number):
    return append(f"counter-{number}", [Counted("a")], expected=ANY)


def several(number):
    return append_all(
        {f"counter-{number}": (NO_STREAM, [Counted("a")] * 2), "counter-all": (ANY, [Counted("a")])}
    )


# Fence, and streams whose version was left open.
MOST = {one: 2, at_any_version: 2 + 256, several: 3}

ways = pytest.mark.parametrize("way", [one, at_any_version, several])


def locks():
    with connection.cursor() as cursor:
        cursor.execute(LOCKS)
        return cursor.fetchone()[0]


def fences():
    with connection.cursor() as cursor:
        cursor.execute(LOCKS + " AND classid::bigint >> 16 = x'E5'::bigint")
        return cursor.fetchone()[0]


def fence(other):
    return other.execute(FENCE).fetchone()[0]


@ways
def test_of_many_appends_on_many_streams(way, another):
    before = one("before").position
    with transaction.atomic():
        for number in range(300):
            way(number)
        assert locks() <= MOST[way]
        assert fence(another()) == before
    assert log.fence() == Event.objects.latest("position").position


@pytest.mark.parametrize("way", [one, at_any_version])
def test_as_many_as_would_fill_the_servers_table_of_locks(way, another):
    """Sixty-four for each of a hundred connections, in its default settings; twice as many."""
    other = another()
    with transaction.atomic():
        for number in range(12_900):
            way(number)
        assert locks() <= MOST[way]
        other.execute("SELECT pg_advisory_lock(1)")
    assert log.fence() == Event.objects.latest("position").position


@pytest.mark.parametrize("depth", [1, 2])
@ways
def test_after_a_savepoint_that_took_the_lock_and_was_taken_back(way, another, depth):
    """The lock went with the savepoint: the next append must take it again, or a reader would pass
    by its events."""
    before, other = one("before").position, another()
    with transaction.atomic():
        taken_back(way, depth)
        assert locks() == 0
        way("kept")
        one_more = other.execute(RAW_APPEND).fetchone()[0]
        assert before <= fence(other) < one_more
        assert (
            fence(other) < Event.objects.filter(stream="counter-kept").earliest("position").position
        )
        way("later")
    assert fence(other) >= one_more


@ways
def test_a_lock_from_before_the_savepoint_stays(way, another):
    before, other = one("before").position, another()
    with transaction.atomic():
        way("first")
        taken_back(way, 2)
        assert fences() <= 2
        assert fence(other) == before
        way("second")
        assert fences() <= 2
        assert fence(other) == before


@ways
def test_a_savepoint_that_is_released_hands_its_lock_on(way, another):
    before, other = one("before").position, another()
    with transaction.atomic():
        with transaction.atomic():
            way("first")
        other.execute(RAW_APPEND)
        way("second")
        assert fences() <= 2
        assert fence(other) == before


def test_the_next_transaction_has_a_lock_of_its_own(another):
    other = another()
    with transaction.atomic():
        one("first")
    between = other.execute(RAW_APPEND).fetchone()[0]
    with transaction.atomic():
        one("second")
        assert fence(other) == between


@pytest.mark.parametrize("lie", ["0", "9223372036854775807", "-1", "999999"])
def test_what_it_remembers_cannot_lead_the_fence_astray(lie, another):
    """Whatever the setting says, by whoever set it, the fence stands before the positions of the
    transaction."""
    before, other = one("before").position, another()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('eventstore.first_fence', %s, true)", [lie])
        appended = one("first")
        assert locks() == 1
        assert fence(other) <= before < appended.position


def test_in_one_statement_of_a_connection_by_itself_too(another):
    other = another()
    other.execute("BEGIN")
    other.execute(MANY)
    assert other.execute(LOCKS).fetchone()[0] <= 2
    other.execute("COMMIT")
    other.execute(MANY)
    assert Event.objects.count() == 2000


def test_behind_many_streams_a_rival_is_waited_for_all_the_same(another):
    """No lock is taken at first any more; who meets a rival takes one, and loses nothing."""
    rivals = [in_thread(lambda: [at_any_version("a") for _ in range(40)]) for _ in range(3)]
    for _ in range(20):
        with transaction.atomic():
            for number in range(260):
                at_any_version(f"{number}")
            at_any_version("a")
    for rival in rivals:
        rival.result(30)
    assert [message.version for message in log.read_stream("counter-a")] == list(range(1, 141))


def taken_back(way, depth):
    if depth:
        with transaction.atomic():
            way(f"lost-{depth}")
            taken_back(way, depth - 1)
            transaction.set_rollback(True)


ONE = """
    eventstore_append_one(
        'counter-' || gen_random_uuid(), 1, gen_random_uuid(), 'toy.counted', 1::smallint,
        '{"counter_id": "b"}',
        gen_random_uuid(), NULL, '{}'
    )
"""
RAW_APPEND = f"SELECT {ONE}"
MANY = f"SELECT {ONE} FROM generate_series(1, 1000)"
