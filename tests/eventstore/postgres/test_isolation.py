"""The fence and the rows behind it are never read in one old snapshot, whatever transactions are by
default."""

import threading
import time

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from psycopg import IsolationLevel

from eventstore import log, postgres
from eventstore.delivery import step
from eventstore.log import ANY, append
from eventstore.models import Event
from eventstore.postgres import NotReadCommitted
from tests.eventstore.concurrently import in_thread, parameters
from tests.eventstore.toy import Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

OLD_SNAPSHOTS = ["repeatable read", "serializable"]
SECONDS = 3.0
WRITERS = 8
# What eventstore_fence() does, without its look at the isolation.
NAIVE_FENCE = """
    SELECT least(last_value, coalesce((
        SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 48) - 1))
        FROM pg_locks
        WHERE locktype = 'advisory' AND objsubid = 1 AND granted
            AND classid::bigint >> 16 = x'E5'::bigint
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    ), last_value))
    FROM eventstore_position
"""
PAGE = (
    "SELECT position FROM eventstore_event WHERE position > %s AND position <= %s ORDER BY position"
)


@pytest.fixture
def default(another):
    """default(level) is what the database begins transactions as from now on, for all its
    connections."""
    name, other = connection.settings_dict["NAME"], another()

    def begin_as(level):
        other.execute(f"ALTER DATABASE \"{name}\" SET default_transaction_isolation = '{level}'")
        connection.close()

    yield begin_as
    other.execute(f'ALTER DATABASE "{name}" RESET default_transaction_isolation')
    connection.close()


@pytest.fixture
def unsaid(default, settings, monkeypatch):
    """unsaid(level): as behind a pooler, what we would say when we connect does not arrive."""

    def begin_as(level):
        default(level)
        monkeypatch.setitem(connection.settings_dict, "OPTIONS", {"prepare_threshold": 2})

    return begin_as


def level(statement="SELECT current_setting('transaction_isolation')"):
    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


@pytest.mark.parametrize("begun_as", OLD_SNAPSHOTS)
@pytest.mark.parametrize("sent", [True, False], ids=["directly", "behind a pooler"])
def test_a_subscription_misses_nothing_where_a_reader_in_one_snapshot_does(begun_as, sent, request):
    request.getfixturevalue("default" if sent else "unsaid")(begun_as)
    race = Race()
    race.run()

    committed = list(Event.objects.order_by("position").values_list("position", flat=True))
    assert len(committed) > 200
    assert set(committed) - set(race.naive), (
        "a reader in one old snapshot must lose events, or this proves nothing"
    )
    heard = sum(len(each.heard) for each in Tally.objects.all())
    assert (heard, len(committed)) == (len(committed), heard)


class Race:
    def __init__(self):
        self.over = threading.Event()
        self.naive = []

    def run(self):
        writers = [in_thread(self.write, str(number)) for number in range(WRITERS)]
        readers = [in_thread(self.read_naively), in_thread(self.deliver)]
        time.sleep(SECONDS)
        self.over.set()
        for each in writers + readers:
            each.result(30)
        while step.step("toy.tallies"):
            pass

    def write(self, name):
        number = 0
        while not self.over.is_set():
            try:
                self.append(name, number)
            except OperationalError as error:
                if not postgres.was_rolled_back(error):
                    raise
            else:
                number += 1

    def append(self, name, number):
        """By a statement alone, and in a transaction."""
        if number % 3:
            append(f"counter-{name}", [Counted(name, number)], expected=number)
        else:
            with postgres.atomic():
                append(f"counter-{name}", [Counted(name, number)], expected=ANY)

    def deliver(self):
        while not self.over.is_set():
            step.step("toy.tallies")

    def read_naively(self):
        with psycopg.connect(**parameters()) as reader:
            reader.isolation_level = IsolationLevel.REPEATABLE_READ
            position = 0
            while not self.over.is_set():
                reader.execute(
                    "SELECT name FROM eventstore_subscription"
                )  # claims its cursor, as a subscription does
                (fence,) = reader.execute(NAIVE_FENCE).fetchone()
                self.naive += [each for (each,) in reader.execute(PAGE, [position, fence])]
                position = max(position, fence)
                reader.commit()


@pytest.mark.parametrize("begun_as", OLD_SNAPSHOTS)
class TestWhatWeBegin:
    def test_a_transaction_of_djangos_is_read_committed_whatever_the_database_says(
        self, unsaid, begun_as
    ):
        unsaid(begun_as)
        assert level() == begun_as
        with transaction.atomic():
            assert level() == "read committed"

    def test_so_is_one_of_ours_where_the_project_has_chosen_otherwise(self, begun_as, monkeypatch):
        chosen = IsolationLevel[begun_as.replace(" ", "_").upper()]
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "isolation_level", chosen)
        connection.close()
        try:
            with transaction.atomic():
                assert level() == begun_as
            with postgres.atomic():
                assert level() == "read committed"
                append("counter-a", [Counted("a")], expected=ANY)
            with transaction.atomic():
                assert level() == begun_as
            step.step("toy.tallies")
            assert Tally.objects.get().total == 1
        finally:
            connection.close()

    def test_it_costs_no_statement(self, default, begun_as, django_assert_num_queries):
        default(begun_as)
        append("counter-a", [Counted("a")], expected=0)
        with django_assert_num_queries(1):
            append("counter-a", [Counted("a")], expected=1)
        with django_assert_num_queries(3), postgres.atomic():  # with BEGIN and COMMIT
            append("counter-a", [Counted("a")], expected=2)


@pytest.mark.parametrize("begun_as", OLD_SNAPSHOTS)
class TestInACallersTransaction:
    @pytest.fixture(autouse=True)
    def _old(self, begun_as, toys):
        with transaction.atomic():
            connection.cursor().execute(f"SET TRANSACTION ISOLATION LEVEL {begun_as}")
            yield
            transaction.set_rollback(True)

    def test_the_fence_is_not_read(self, begun_as):
        with pytest.raises(NotReadCommitted, match=begun_as):
            log.fence()

    def test_nor_the_log(self, begun_as):
        with pytest.raises(NotReadCommitted, match=begun_as):
            list(log.read_log())

    def test_nor_does_a_subscription_take_its_step(self, begun_as):
        with pytest.raises(NotReadCommitted, match=begun_as):
            step.step("toy.tallies")


def test_outside_of_django_the_function_itself_refuses(another):
    other = another()
    other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    with pytest.raises(psycopg.DatabaseError, match="repeatable read") as refused:
        other.execute("SELECT eventstore_fence()")
    assert refused.value.sqlstate == "ES003"
