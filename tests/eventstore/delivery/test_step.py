"""A subscription: its cursor, its fence, and the effects that commit together with it."""

import signal

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from eventstore import log, projections
from eventstore.delivery import kinds, step
from eventstore.log import ANY, append
from eventstore.models import Event, OutboxMessage, Parked, SagaState, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Commands
from eventstore.testing import drain
from tests.eventstore.concurrently import in_thread, stopped, until
from tests.eventstore.toy import EFFECT, ROUND, TALLIES, Closed, Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

SUBSCRIPTION = "toy.tallies"


def count(name="a", amount=1, note=""):
    return append(f"counter-{name}", [Counted(name, amount, note)], expected=ANY).position


def heard(name="a"):
    return Tally.objects.get(pk=name).heard


def cursor(subscription=SUBSCRIPTION):
    return Subscription.objects.get(pk=subscription).position


class TestTheCursor:
    def test_it_moves_over_what_was_heard(self):
        count("a", 1)
        last = count("a", 2)

        assert step.step(SUBSCRIPTION) == 2
        assert heard() == [1, 2]
        assert cursor() == last

    def test_what_was_heard_is_not_heard_again(self):
        count()
        step.step(SUBSCRIPTION)
        assert step.step(SUBSCRIPTION) == 0
        assert heard() == [1]

    def test_a_batch_is_no_larger_than_asked_and_nothing_is_left_between_two(self):
        for amount in range(1, 8):
            count("a", amount)
        assert [step.step(SUBSCRIPTION, limit=3) for _ in range(4)] == [3, 3, 1, 0]
        assert heard() == [1, 2, 3, 4, 5, 6, 7]

    def test_it_moves_over_what_the_subscription_does_not_hear(self, toys):
        toys({SUBSCRIPTION: TALLIES, "toy": Commands()})
        last = count()

        assert step.step("toy") == 0
        assert cursor("toy") == last

    def test_what_is_owed_to_one_subscription_is_not_heard_by_another(self, toys):
        toys({SUBSCRIPTION: TALLIES, "toy": Commands(), "toy.round": ROUND})
        log.write([], [log.outgoing(Count("a", 5), metadata=log.current_metadata())])

        assert step.step(SUBSCRIPTION) == step.step("toy.round") == 0
        assert step.step("toy") == 1
        assert Event.objects.get().type == "toy.counted"

    def test_a_subscription_that_is_added_later_hears_from_the_beginning(self, toys):
        for amount in (1, 2, 3):
            count("a", amount)
        drain()
        toys({SUBSCRIPTION: TALLIES, "toy.round": ROUND})

        drain()
        assert SagaState.objects.get().state["total"] == 6
        assert heard() == [1, 2, 3]

    def test_a_paused_subscription_stands_still_and_hears_all_when_it_goes_on(self):
        count("a", 1)
        drain()
        Subscription.objects.filter(pk=SUBSCRIPTION).update(paused=True)
        count("a", 2)
        count("a", 3)

        assert cursors.work() == set()
        assert drain() == step.step(SUBSCRIPTION) == 0
        assert heard() == [1]
        Subscription.objects.filter(pk=SUBSCRIPTION).update(paused=False)
        drain()
        assert heard() == [1, 2, 3]

    def test_it_does_not_move_outside_of_a_transaction(self):
        with pytest.raises(AssertionError, match="in the transaction of the effects"):
            cursors.move(SUBSCRIPTION, 1)

    @pytest.mark.parametrize("subscription", ["toy", SUBSCRIPTION, "toy.round", "toy.effect"])
    def test_a_fence_that_falls_back_does_not_take_it_back(self, toys, another, subscription):
        """An appender that was stopped between its look at the sequence and its lock holds an old
        number."""
        toys({"toy": Commands(), SUBSCRIPTION: TALLIES, "toy.round": ROUND, "toy.effect": EFFECT})
        old = count("a")
        count("b")
        drain()
        position, called = cursor(subscription), OutboxMessage.objects.count()

        slow = another()
        slow.execute("BEGIN")
        slow.execute("SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | %s)", [old - 1])
        step.step(subscription)
        assert cursor(subscription) == position
        slow.execute("COMMIT")
        drain()
        assert OutboxMessage.objects.count() == called


class TestReceipts:
    @pytest.mark.parametrize("seam", ["outbox.move", "projections.project"])
    def test_an_error_between_effect_and_receipt_undoes_the_effect(self, monkeypatch, seam):
        owner = {"outbox": cursors, "projections": projections}[seam.partition(".")[0]]
        name = seam.partition(".")[2]
        real = getattr(owner, name)

        def stumbling(*args, **kwargs):
            real(*args, **kwargs)
            raise OperationalError("the database went away")

        count()
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, stumbling)
            with pytest.raises(OperationalError):
                step.step(SUBSCRIPTION)
        assert not Tally.objects.exists()
        assert cursor() == 0

        drain()
        assert heard() == [1]


class TestAStoppedWorker:
    """SIGSTOP, a machine that swaps, a hypervisor that pauses it: it holds its subscription, and
    comes back much later."""

    def test_the_database_takes_the_subscription_from_it_and_refuses_its_late_commit(self):
        count("a", 1)
        with stopped(SUBSCRIPTION, "outbox.cursors.move") as worker:
            assert step.step(SUBSCRIPTION) == 0
            until(lambda: step.step(SUBSCRIPTION), seconds=20)
            assert heard() == [1]
            worker.send_signal(signal.SIGCONT)
            worker.communicate(timeout=20)
        assert heard() == [1]
        assert cursor() == Event.objects.get().position


class TestFairness:
    def test_two_hundred_streams_wait_no_longer_than_the_log_is_long_behind_one_of_ten_thousand(
        self,
    ):
        for _ in range(10):
            append("counter-large", [Counted("large")] * 1000, expected=ANY)
        for number in range(200):
            count(str(number))
        steps = 0
        while Tally.objects.count() < 201:
            assert step.step(SUBSCRIPTION)
            steps += 1
        assert steps <= 10_200 / kinds.READERS_BATCH + 1

    def test_a_large_stream_that_cannot_be_taken_holds_up_no_other(self, toys):
        append(
            "counter-large", [Counted("large", 1, "boom")] + [Counted("large")] * 999, expected=ANY
        )
        for number in range(200):
            count(str(number))
        drain()
        assert Tally.objects.count() == 200
        assert Parked.objects.filter(key="large").count() == 1000


class TestSeveralWorkers:
    def test_while_one_worker_has_a_subscription_another_passes_it_by(self):
        count()
        with transaction.atomic():
            assert cursors.claim(SUBSCRIPTION) is not None
            assert in_thread(step.step, SUBSCRIPTION).result(5) == 0
        assert step.step(SUBSCRIPTION) == 1

    def test_subscriptions_are_worked_on_side_by_side(self, toys):
        toys({SUBSCRIPTION: TALLIES, "toy.round": ROUND})
        count()
        with transaction.atomic():
            cursors.claim(SUBSCRIPTION)
            assert in_thread(step.step, "toy.round").result(5) == 1

    def test_two_workers_on_one_subscription_hear_every_event_once_and_in_order(self):
        writer = in_thread(lambda: [count(name, amount) for amount in range(60) for name in "ab"])
        workers = [in_thread(work_until, writer) for _ in range(3)]
        moved = sum(worker.result(20) for worker in workers) + drain()

        assert moved == 120
        assert heard("a") == heard("b") == list(range(60))

    def test_what_a_worker_parked_a_moment_ago_holds_back_the_next_worker(
        self, monkeypatch, another
    ):
        """The second one looks at the subscription before the first one's commit, and gets the lock
        after it."""
        count("a", 1, note="boom")
        slowly = cursors.CLAIM.replace("NOT paused", "NOT paused AND pg_sleep(0.3) IS NOT NULL")
        with transaction.atomic():
            position = cursors.claim(SUBSCRIPTION).position
            connection.cursor().execute(
                "UPDATE eventstore_subscription SET position = position WHERE name = %s",
                [SUBSCRIPTION],
            )
            monkeypatch.setattr(cursors, "CLAIM", slowly)
            second = in_thread(step.step, SUBSCRIPTION)
            until(lambda: another().execute(SLEEPING).fetchall())
            assert position == 0
            park_the_first_and_write_another()
        second.result(5)

        assert not Tally.objects.filter(heard__contains=[2]).exists()


class TestWork:
    def test_it_names_the_subscriptions_that_have_something_to_do_in_one_query(self, toys):
        toys({"toy": Commands(), SUBSCRIPTION: TALLIES, "toy.round": ROUND})
        for subscription in ("toy", SUBSCRIPTION, "toy.round"):
            step.step(subscription)
        with CaptureQueriesContext(connection) as queries:
            assert cursors.work() == set()
            count()
            assert cursors.work() == {SUBSCRIPTION, "toy.round"}
        assert (
            len([query for query in queries if "FROM eventstore_subscription" in query["sql"]]) == 2
        )

    def test_a_subscription_without_work_is_not_asked(self):
        count()
        drain()
        with CaptureQueriesContext(connection) as queries:
            assert drain() == 0
        statements = [query["sql"] for query in queries if query["sql"] not in ("BEGIN", "COMMIT")]
        assert len(statements) == 1, (
            "an idle turn looks for work and for deadlines at once, and that is all"
        )

    def test_what_lies_beyond_the_fence_is_no_work_yet(self, another):
        count()
        drain()
        slow = another()
        slow.execute("BEGIN")
        slow.execute(
            "SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | %s)", [log.fence()]
        )
        count()
        assert cursors.work() == set()
        slow.execute("COMMIT")
        assert cursors.work() == {SUBSCRIPTION}

    def test_one_message_or_a_hundred_cost_the_same_number_of_statements(self):
        def statements(events):
            append("counter-a", [Counted("a")] * events, expected=ANY)
            with CaptureQueriesContext(connection) as queries:
                assert step.step(SUBSCRIPTION) == events
            return len(queries)

        statements(1)
        assert statements(1) == statements(100) <= 7

    def test_a_turn_ends_when_its_time_is_over(self):
        from eventstore.delivery import worker

        count()
        assert worker.work(seconds=0) == 0
        assert worker.work(seconds=5) == 1

    def test_trouble_in_one_subscription_does_not_keep_the_others_from_their_turn(
        self, toys, monkeypatch
    ):
        """A subscription whose every step is cut off by the database must not starve those after
        it."""
        toys({"toy.round": ROUND, SUBSCRIPTION: TALLIES})
        count()
        monkeypatch.setattr("eventstore.sagas.react", cut_off)

        from eventstore.delivery import worker

        with pytest.raises(OperationalError):
            worker.work(seconds=1)
        assert heard() == [1]
        assert cursor("toy.round") == 0
        assert not Parked.objects.exists()


class TestTheReadModel:
    def test_a_row_that_is_no_more_is_removed_and_can_come_again(self):
        count("a", 1)
        append("counter-a", [Closed("a")], expected=1)
        drain()
        assert not Tally.objects.exists()

        count("a", 5)
        drain()
        assert heard() == [5]

    def test_removed_and_made_again_in_one_batch(self):
        count("a", 1)
        drain()
        append("counter-a", [Closed("a"), Counted("a", 7)], expected=1)
        drain()
        assert heard() == [7]

    def test_made_and_removed_in_one_batch(self):
        append("counter-a", [Counted("a", 7), Closed("a")], expected=0)
        drain()
        assert not Tally.objects.exists()

    def test_a_row_says_where_it_stands(self):
        count("a", 1)
        last = count("a", 2)
        drain()
        tally, event = Tally.objects.get(), Event.objects.get(version=2)
        assert (tally.version, tally.position, tally.updated_at) == (2, last, event.recorded_at)


def work_until(writer):
    moved = 0
    while not writer.done():
        moved += step.step(SUBSCRIPTION, limit=7)
    return moved


def cut_off(*args, **kwargs):
    raise OperationalError("canceling statement due to statement timeout")


def park_the_first_and_write_another():
    """What a step does with the first message of the subscription; and a second message comes."""
    first = Event.objects.get()
    Parked.objects.create(
        subscription=SUBSCRIPTION, position=first.position, key="a", status="failed", due_at=None
    )
    cursors.move(SUBSCRIPTION, first.position)
    in_thread(count, "a", 2).result(5)


SLEEPING = (
    "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
)
