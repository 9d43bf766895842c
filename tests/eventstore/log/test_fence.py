"""A reader that tails the log behind the fence misses, repeats and inverts nothing; one without it
loses events."""

import logging
import random
import threading
import time

import psycopg
import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from eventstore import log
from eventstore.delivery import step
from eventstore.log import ANY, append
from eventstore.models import Event
from tests.eventstore.concurrently import in_thread, parameters, until
from tests.eventstore.toy import Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

logger = logging.getLogger(__name__)

FENCE = "SELECT eventstore_fence()"


def count(name="a", amount=1):
    return append(f"counter-{name}", [Counted(name, amount)], expected=ANY)


class TestTheFence:
    def test_it_stands_at_the_last_position_when_nobody_writes(self):
        last = count().position
        assert log.fence() == last

    def test_it_is_zero_while_the_sequence_is_unused(self):
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("ALTER SEQUENCE eventstore_position RENAME TO used")
            cursor.execute("CREATE SEQUENCE eventstore_position CACHE 1")
            assert log.fence() == 0
            first = count()
            assert first.position == 1
            assert log.fence() == 0  # for the one who writes stands before it itself
            transaction.set_rollback(True)

    def test_a_writer_that_is_slow_to_commit_holds_it_before_its_own_first_position(self):
        before = count().position
        appended, go = threading.Event(), threading.Event()
        slow = in_thread(append_and_wait, "slow", appended, go)
        assert appended.wait(5)
        after = count("b").position

        assert log.fence() == before
        go.set()
        own = slow.result(5)
        assert before < own < after
        assert log.fence() == after

    def test_a_position_that_is_rolled_back_is_passed(self):
        with transaction.atomic():
            lost = count().position
            transaction.set_rollback(True)
        assert log.fence() >= lost

    def test_a_savepoint_that_is_rolled_back_leaves_no_fence(self, another):
        with transaction.atomic():
            with transaction.atomic():
                lost = count().position
                transaction.set_rollback(True)
            assert another().execute(FENCE).fetchone()[0] >= lost

    def test_a_writer_of_something_else_does_not_matter(self, another):
        foreign = another()
        foreign.execute("BEGIN")
        foreign.execute("SELECT pg_current_xact_id()")
        foreign.execute("SELECT pg_advisory_xact_lock(1)")
        foreign.execute("SELECT pg_advisory_xact_lock(1, 1)")

        last = count().position
        assert log.fence() == last

    def test_a_lock_in_another_database_of_the_cluster_does_not_matter(self):
        with psycopg.connect(**parameters() | {"dbname": "postgres"}) as elsewhere:
            elsewhere.execute("SELECT pg_advisory_xact_lock_shared(x'E5'::bigint << 48)")
            last = count().position
            assert log.fence() == last

    def test_waiting_for_a_stream_does_not_hold_the_fence(self, another):
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT pg_advisory_xact_lock((x'E6'::bigint << 48)"
                    " | (hashtextextended('counter-a', 0) & ((1::bigint << 48) - 1)))"
                )
            waiting = in_thread(count, "a")
            until(lambda: another().execute("SELECT FROM pg_locks WHERE NOT granted").fetchall())
            assert (
                in_thread(lambda: count("b").position).result(5)
                == another().execute(FENCE).fetchone()[0]
            )
        waiting.result(5)


def append_and_wait(name, appended, go):
    with transaction.atomic():
        position = count(name).position
        appended.set()
        go.wait(5)
        return position


def fence_held():
    with connection.cursor() as cursor:
        cursor.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'")
        return cursor.fetchall()


SECONDS = 4.0
WRITERS = 16


def test_of_two_readers_beside_many_writers_only_the_one_without_a_fence_loses_events(toys):
    """Sixteen writers, slow to commit; some abort, some are killed, one wrote something else before
    it appends twice.

    The subscription `toy.tallies` folds every amount of a stream into one row: it must hear each
    committed event once and in order, while a foreign write transaction stays open all the time.
    """
    race = Race()
    race.run()

    committed = committed_positions()
    lost = set(committed) - set(race.naive)
    assert race.aborted > 5
    assert race.killed > 2
    assert lost, "a reader without a fence must lose events here, or this test proves nothing"

    assert race.heard == sorted(committed), "every committed event once, in order"
    assert Tally.objects.count() == WRITERS
    for tally in Tally.objects.all():
        assert tally.heard == [
            message.body.amount for message in log.read_stream(f"counter-{tally.counter_id}")
        ]
    assert race.longest_stall < 1.0


def committed_positions():
    return list(Event.objects.order_by("position").values_list("position", flat=True))


class Race:
    def __init__(self):
        self.over, self.written = threading.Event(), threading.Event()
        self.aborted = self.killed = 0
        self.naive: list[int] = []
        self.heard: list[int] = []
        self.longest_stall = 0.0

    def run(self):
        with psycopg.connect(**parameters()) as foreign:
            foreign.execute("SELECT pg_current_xact_id()")
            self.run_beside_a_foreign_transaction()

    def run_beside_a_foreign_transaction(self):
        writers = [in_thread(self.write, str(number)) for number in range(WRITERS)]
        readers = [
            in_thread(self.read_naively),
            in_thread(self.read_behind_the_fence),
            in_thread(self.deliver),
        ]
        killer = in_thread(self.kill)
        time.sleep(SECONDS)
        self.over.set()
        for each in [*writers, killer]:
            each.result(20)
        self.written.set()
        for each in readers:
            each.result(20)

    def write(self, name):
        dice, number = random.Random(name), 0
        while not self.over.is_set():
            number += 1
            try:
                self.append(name, number, dice)
            except Aborted:
                self.aborted += 1
            except (OperationalError, InterfaceError) as error:
                logger.debug("killed: %s", error)
            finally:
                connection.close_if_unusable_or_obsolete()

    def append(self, name, number, dice):
        with transaction.atomic():
            if name == "0":  # has a transaction id long before it has positions, and appends twice
                Tally.objects.create(counter_id=f"x{number}").delete()
                time.sleep(dice.uniform(0, 0.01))
                append(f"counter-{name}", [Counted(name, number)], expected=ANY)
            time.sleep(dice.uniform(0, 0.002))
            if int(name) % 2:  # the short way, by one statement of its own
                version = Event.objects.filter(stream=f"counter-{name}").count()
                append(f"counter-{name}", [Counted(name, number)], expected=version)
            else:
                append(
                    f"counter-{name}",
                    [Counted(name, number), Counted(name, -1 if number % 2 else 2)],
                    expected=ANY,
                )
            time.sleep(dice.choice([0, 0, 0.001, 0.01, 0.05]))
            if dice.random() < 0.1:
                raise Aborted

    def kill(self):
        dice = random.Random("killer")
        with psycopg.connect(**parameters(), autocommit=True) as killer:
            while not self.over.is_set():
                time.sleep(0.15)
                victims = killer.execute(IDLE_IN_APPEND).fetchall()
                if victims:
                    killer.execute("SELECT pg_terminate_backend(%s)", dice.choice(victims))
                    self.killed += 1

    def read_naively(self):
        with psycopg.connect(**parameters(), autocommit=True) as reader:
            position = 0
            while page := self.next_page(
                reader, "SELECT max(position) FROM eventstore_event", position
            ):
                self.naive += page
                position = max([position, *page])

    def read_behind_the_fence(self):
        with psycopg.connect(**parameters(), autocommit=True) as reader:
            position, moved = 0, time.monotonic()
            while page := self.next_page(reader, FENCE, position):
                self.heard += page
                position = max([position, *page])
                self.longest_stall = max(self.longest_stall, time.monotonic() - moved)
                moved = time.monotonic()

    def next_page(self, reader, last, position):
        """What lies between the position and the last one; nothing at all when the race is over and
        all is read."""
        while True:
            over = self.written.is_set() and not reader.execute(IDLE_IN_APPEND).fetchall()
            upto = reader.execute(last).fetchone()[0] or 0
            page = reader.execute(PAGE, (position, upto)).fetchall()
            if page or over:
                return [position for (position,) in page]
            time.sleep(0.001)

    def deliver(self):
        while not self.written.is_set() or step.step("toy.tallies"):
            step.step("toy.tallies")
        until(lambda: not fence_held())
        while step.step("toy.tallies"):
            pass


class Aborted(Exception):
    pass


PAGE = (
    "SELECT position FROM eventstore_event WHERE position > %s AND position <= %s ORDER BY position"
)
IDLE_IN_APPEND = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'idle in transaction'
      AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock')
"""
