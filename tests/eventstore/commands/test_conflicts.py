"""A command meets a deadlock, a lock that is held, or a broken connection: it is recorded once or
not at all."""

import time
from contextlib import contextmanager, suppress

import pytest
from django.db import InterfaceError, OperationalError, connection, transaction

from eventstore import log
from eventstore.commands import bus
from eventstore.log import ANY, append
from eventstore.log.append import _json
from eventstore.models import Event, OutboxMessage
from tests.eventstore.concurrently import in_thread, until_waiting
from tests.eventstore.toy import Close, Count, Counted, Move, Tally
from tests.proxy import Proxy

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def proxy():
    """Our connection to the database goes through it."""
    settings = connection.settings_dict
    before = {name: settings[name] for name in ("HOST", "PORT")}
    proxy = Proxy(before["HOST"], before["PORT"])
    connection.close()
    settings |= {"HOST": proxy.host, "PORT": proxy.port}
    yield proxy
    connection.close()
    settings |= before
    proxy.close()


@pytest.fixture
def impatient():
    """Locks are waited for 50 ms."""
    with connection.cursor() as cursor:
        cursor.execute("SET lock_timeout = '50ms'")
    yield
    connection.close()


@contextmanager
def in_a_block():
    """The exception is caught inside of it, where a caller should not: what follows must not be
    repeated either."""
    with suppress(OperationalError, InterfaceError), transaction.atomic(), transaction.atomic():
        yield
    connection.close()


@contextmanager
def in_manual_mode():
    transaction.set_autocommit(False)
    try:
        yield
    finally:
        with suppress(OperationalError, InterfaceError):
            transaction.rollback()
        connection.close()


@contextmanager
def behind_a_begin_of_its_own():
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
    try:
        yield
    finally:
        connection.close()


@pytest.fixture(params=[in_a_block, in_manual_mode, behind_a_begin_of_its_own])
def opened(request):
    """The ways in which a caller may have a transaction open."""
    return request.param


def stored(name="a"):
    return [message.body.amount for message in log.read_stream(f"counter-{name}")]


def append_by(other, name, version, amount):
    """As another process would, in a transaction that is left open."""
    event = log.new_events(
        f"counter-{name}",
        [Counted(name, amount)],
        expected=version - 1,
        metadata=log.current_metadata(),
    )
    other.execute("SELECT eventstore_append(%s::json, NULL)", [_json(event)])


class TestALockThatIsNotToBeHad:
    def test_the_whole_command_is_decided_again(self, impatient, another):
        other = another()
        other.execute("BEGIN")
        append_by(other, "a", 1, 100)
        commits = in_thread(lambda: (time.sleep(0.08), other.execute("COMMIT")))
        outcome = bus.dispatch(Count("a", 1))
        commits.result(5)
        assert outcome.version == 2
        assert stored() == [100, 1]

    def test_a_bounded_number_of_times_and_then_nothing_of_it_stands(self, impatient, another):
        other = another()
        other.execute("BEGIN")
        append_by(other, "a", 1, 100)
        with pytest.raises(OperationalError, match="lock timeout"):
            bus.dispatch(Move("b", "a", 1))
        other.execute("ROLLBACK")
        assert not Event.objects.exists()
        assert not OutboxMessage.objects.exists()

    def test_inside_of_somebodys_transaction_it_is_theirs_to_begin_again(
        self, impatient, another, caplog
    ):
        other = another()
        other.execute("BEGIN")
        append_by(other, "a", 1, 100)
        with caplog.at_level("INFO"), pytest.raises(OperationalError), transaction.atomic():
            bus.dispatch(Count("a", 1))
        assert "conflict" not in caplog.text


class TestADeadlock:
    def test_the_victim_is_decided_again(self, another, caplog):
        """We hold a and wait for b; the other, by two appends, holds b and waits for a; the first
        to wait loses."""
        other, observer = another(), another()
        other.execute("SET deadlock_timeout = '30s'")
        other.execute("BEGIN")
        append_by(other, "b", 1, 100)
        with caplog.at_level("INFO"):
            ours = in_thread(bus.dispatch, Move("b", "a", 5))
            until_waiting(observer)
            append_by(other, "a", 1, 100)
            other.execute("COMMIT")
            ours.result(10)
        assert "deadlock detected" in caplog.text
        assert stored("a") == [100, 5]
        assert stored("b") == [100, -5]


class TestARawTransaction:
    """One that Django knows nothing of."""

    def test_a_lost_race_in_it_is_its_owners_to_begin_again(self, impatient, another, caplog):
        other = another()
        other.execute("BEGIN")
        append_by(other, "a", 1, 100)
        with connection.cursor() as cursor, caplog.at_level("INFO"):
            cursor.execute("BEGIN")
            with pytest.raises(OperationalError, match="lock timeout"):
                bus.dispatch(Count("a", 1))
            cursor.execute("ROLLBACK")
        assert "conflict" not in caplog.text

    def test_what_it_takes_back_is_not_remembered(self):
        bus.dispatch(Count("a", 1))
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            bus.dispatch(Close("a"))
            cursor.execute("ROLLBACK")
        assert bus.dispatch(Count("a", 2)).version == 2


class TestABrokenConnection:
    def test_a_command_whose_answer_was_lost_is_recorded_once_and_answered(self, proxy):
        bus.dispatch(Count("a", 1))
        proxy.swallow = True
        answer = append("counter-a", [Counted("a", 2)], expected=1)
        assert answer.versions == {"counter-a": 2}
        assert stored() == [1, 2]

    def test_so_it_is_without_an_expected_version(self, proxy):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        proxy.swallow = True
        append("counter-a", [Counted("a", 2)], expected=ANY)
        assert stored() == [1, 2]

    def test_one_that_never_arrived_is_recorded_too(self, proxy):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        proxy.cut()
        append("counter-a", [Counted("a", 2)], expected=1)
        assert stored() == [1, 2]

    def test_what_is_only_owed_is_not_said_twice(self, proxy):
        """It has no place in a stream by which a repeat would be known."""
        append("counter-a", [Counted("a", 1)], expected=ANY)
        proxy.swallow = True
        with pytest.raises(OperationalError):
            bus.enqueue([Count("a", 1)])
        connection.close()
        assert OutboxMessage.objects.filter(topic="toy").count() == 1

    def test_inside_of_a_transaction_nothing_is_repeated(self, proxy):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        with pytest.raises(OperationalError), transaction.atomic():
            bus.dispatch(Count("b", 1))
            proxy.swallow = True
            bus.dispatch(Count("a", 2))
        connection.close()
        assert stored() == [1]
        assert stored("b") == []

    def test_nothing_is_repeated_outside_of_a_transaction_of_the_callers_own(self, proxy, opened):
        """The append alone would be in the log, without what was written before it."""
        append("counter-a", [Counted("a", 1)], expected=ANY)
        with opened():
            Tally.objects.create(counter_id="before")
            proxy.cut()
            with pytest.raises((OperationalError, InterfaceError)):
                append("counter-a", [Counted("a", 2)], expected=1)
        assert stored() == [1]
        assert not Tally.objects.exists()

    def test_nor_where_the_answer_is_lost(self, proxy, opened):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        with opened():
            Tally.objects.create(counter_id="before")
            proxy.swallow = True
            with pytest.raises((OperationalError, InterfaceError)):
                append("counter-a", [Counted("a", 2)], expected=1)
        assert stored() == [1]

    def test_nor_by_who_finds_the_connection_broken_already(self, proxy, opened):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        with opened():
            Tally.objects.create(counter_id="before")
            proxy.cut()
            for _ in range(2):
                with pytest.raises((OperationalError, InterfaceError)):
                    append("counter-a", [Counted("a", 2)], expected=1)
        assert stored() == [1]

    def test_while_the_database_is_away_the_error_is_told(self, proxy):
        append("counter-a", [Counted("a", 1)], expected=ANY)
        proxy.close()
        with pytest.raises(OperationalError):
            append("counter-a", [Counted("a", 2)], expected=1)
