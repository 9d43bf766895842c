"""A subscription that begins at a position, or now: it hears all that comes behind that, once, and
nothing before."""

import threading

import pytest
from django.db import transaction

from eventstore import log
from eventstore.delivery import step
from eventstore.guarantees import wiring as checks
from eventstore.log import ANY, append
from eventstore.models import Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import NOW, Effect, Publication, Reaction, Saga
from eventstore.testing import drain
from tests.eventstore.concurrently import in_thread
from tests.eventstore.toy import ROUND, Counted, Round

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

SUBSCRIPTION = "toy.later"


@pytest.fixture
def heard():
    return []


@pytest.fixture
def begin(toys, heard):
    """begin(after) wires the subscription as a new release would, and enlists it as its first
    worker would."""

    def react(state, event: Counted):
        heard.append(event.amount)
        return Reaction(Round(total=state.total + event.amount))

    def begin(after, **others):
        saga = Saga(initial=Round(), key=ROUND.key, react={Counted: react}, after=after)
        toys({SUBSCRIPTION: saga, **others})

    return begin


def count(amount, name="a"):
    return append(f"counter-{name}", [Counted(name, amount)], expected=ANY).position


def deliver():
    while step.step(SUBSCRIPTION):
        pass


def test_now_is_where_the_log_ends_when_it_is_enlisted(begin, heard):
    count(1)
    count(2)
    begin(NOW)
    count(3)
    deliver()
    assert heard == [3]


def test_at_a_position_it_hears_what_lies_behind(begin, heard):
    positions = [count(amount) for amount in range(1, 6)]
    begin(positions[2])
    deliver()
    assert heard == [4, 5]


def test_without_either_it_hears_everything(begin, heard):
    count(1)
    begin(0)
    deliver()
    assert heard == [1]


@pytest.mark.parametrize("after", [NOW, 2])
def test_a_restart_and_another_release_leave_its_cursor_alone(begin, heard, after):
    for amount in (1, 2):
        count(amount)
    begin(after)
    count(3)
    deliver()
    count(4)
    for later in (after, NOW, 0, 10**9):
        begin(later)
    deliver()
    assert heard == [3, 4]


def test_a_position_that_the_log_has_not_reached_is_where_the_log_ends(begin, heard):
    """Else it would pass by what is appended next: a cursor is never ahead of the log."""
    last = count(1)
    begin(10**9)
    assert Subscription.objects.get(name=SUBSCRIPTION).position == last
    count(2)
    deliver()
    assert heard == [2]


def test_what_is_being_written_while_it_begins_is_heard_once(begin, heard):
    """Its position was given before, its commit comes after: it belongs to what comes later."""
    count(1)
    appended, go = threading.Event(), threading.Event()
    slow = in_thread(append_and_wait, appended, go)
    assert appended.wait(5)
    count(3, "b")
    begin(NOW)
    count(4, "b")
    go.set()
    slow.result(5)
    deliver()
    assert heard == [2, 3, 4]


def test_begun_beside_many_writers_it_misses_nothing_and_hears_nothing_twice(begin, heard):
    def write(number):
        for amount in range(40):
            count(number * 1000 + amount, f"{number}")

    writers = [in_thread(write, number) for number in range(1, 5)]
    begin(NOW)
    began = Subscription.objects.get(name=SUBSCRIPTION).position
    for writer in writers:
        writer.result(30)
    deliver()
    assert heard == [message.body.amount for message in log.read_log(after=began)]
    assert heard


def test_where_the_outbox_was_cleared_it_reads_the_log(begin, heard):
    positions = [count(amount) for amount in range(1, 6)]
    drain()
    cursors.clear(retention=cursors.timedelta(0))
    begin(positions[2])
    count(6)
    deliver()
    assert heard == [4, 5, 6]


def test_an_effect_and_a_publication_begin_so_too(begin):
    last = count(1)
    begin(
        0,
        **{
            "toy.call": Effect(perform={}, after=NOW),
            "toy.told": Publication(publish={}, after=last - 1),
        },
    )
    assert dict(
        Subscription.objects.filter(name__in=["toy.call", "toy.told"]).values_list(
            "name", "position"
        )
    ) == {
        "toy.call": last,
        "toy.told": last - 1,
    }


@pytest.mark.parametrize("after", [-2, 1.5, True, None, "now"])
def test_what_is_no_position_is_found_by_check(wire, after):
    wire(SUBSCRIPTIONS={SUBSCRIPTION: ROUND._replace(after=after)})
    assert "eventstore.E030" in {error.id for error in checks.check_wiring(None)}


def append_and_wait(appended, go):
    with transaction.atomic():
        count(2)
        appended.set()
        go.wait(5)
