"""The command of a saga, or of an answer, is decided in the commit that sends it where its
context has nothing else to do; in every other case it waits in the outbox. Whichever way it goes,
the same comes of it."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eventstore import log, registry
from eventstore.commands import bus
from eventstore.delivery import step
from eventstore.effects import calls
from eventstore.log import ANY, WrongExpectedVersion, append
from eventstore.models import Event, OutboxMessage, Parked, SagaState, Subscription
from eventstore.outbox import cursors
from eventstore.subscriptions import Commands, Effect, Reaction
from eventstore.testing import drain
from tests.eventstore.concurrently import until
from tests.eventstore.toy import ROUND, Close, Closed, Count, Counted, Round

pytestmark = [pytest.mark.django_db(transaction=True)]

SAGA, CONTEXT = "toy.round", "toy"


@pytest.fixture(autouse=True)
def _wired(toys):
    toys({CONTEXT: Commands(), SAGA: ROUND})
    drain()


def count(name="a", amount=10, note=""):
    append(f"counter-{name}", [Counted(name, amount, note)], expected=ANY)


def types(name="a"):
    return [type(each.body).__name__ for each in log.read_stream(f"counter-{name}")]


def enqueued():
    """The commands in the outbox, by their stored names."""
    found = OutboxMessage.objects.filter(topic=CONTEXT).order_by("position")
    return list(found.values_list("type", flat=True))


def pause(paused=True):
    Subscription.objects.filter(pk=CONTEXT).update(paused=paused)


def test_it_is_decided_with_the_state_and_the_cursor():
    count()
    step.step(SAGA)
    assert types() == ["Counted", "Closed"]
    assert enqueued() == []
    assert SagaState.objects.get().status == "FULL"


def test_its_event_says_the_same_as_one_by_the_outbox():
    count("a")
    step.step(SAGA)
    pause()
    count("b")
    step.step(SAGA)
    assert enqueued() == ["toy.close"]
    pause(False)
    drain()
    for name in "ab":
        counted, closed = Event.objects.filter(stream=f"counter-{name}").order_by("version")
        assert closed.causation_id == counted.id
        assert closed.correlation_id == counted.correlation_id
        assert closed.metadata == {"actor": SAGA, "command": "toy.close"}


def held_by_another_worker(another):
    holder = another()
    holder.execute("BEGIN")
    holder.execute("SELECT FROM eventstore_subscription WHERE name = 'toy' FOR UPDATE")


def a_command_is_ahead(another):
    bus.enqueue([Count("z")])


def something_is_parked(another):
    Parked.objects.create(
        subscription=CONTEXT, position=1, key="counter-z", status="dead", attempts=12
    )


def its_cursor_is_far_behind(another):
    Subscription.objects.filter(pk=CONTEXT).update(position=-20_000)


@pytest.mark.parametrize(
    "is_busy",
    [
        lambda another: pause(),
        held_by_another_worker,
        a_command_is_ahead,
        something_is_parked,
        its_cursor_is_far_behind,
    ],
)
def test_it_waits_for_a_context_that_is_not_idle(another, is_busy):
    count()
    is_busy(another)
    step.step(SAGA)
    assert types() == ["Counted"]
    assert enqueued()[-1] == "toy.close"


def test_a_context_that_nobody_here_decides_for_is_never_idle(toys):
    toys({SAGA: ROUND})
    count()
    step.step(SAGA)
    assert types() == ["Counted"]
    assert enqueued() == ["toy.close"]


def test_what_another_transaction_has_just_sent_is_seen(another):
    """The cursor is locked first; what is ahead of it is read by a later snapshot."""
    count()
    with transaction.atomic():
        assert cursors.claim_idle([CONTEXT]) == {CONTEXT}
        other = another()
        found = other.execute("SELECT eventstore_claim_idle(ARRAY['toy'])").fetchall()
        assert found == [], "only one holds it"


def test_a_rejection_comes_back(toys):
    count(amount=1, note="echo")
    append("counter-a", [Closed("a")], expected=1)
    step.step(SAGA)
    assert enqueued() == []
    assert OutboxMessage.objects.get(type="eventstore.command_refused").topic == SAGA
    drain()
    assert SagaState.objects.get().state["trouble"] == "toy.count CounterClosed a"


def echo_a_bug(state, event):
    commands = [Count(event.counter_id, 1, "bug")] if event.note == "echo" else []
    return Reaction(Round("OPEN", state.total + event.amount), commands)


def test_a_decider_at_fault_parks_its_command_and_not_what_the_saga_heard(toys):
    toys({CONTEXT: Commands(), SAGA: ROUND._replace(react={Counted: echo_a_bug})})
    count("a", 1, "echo")
    count("b", 2)
    drain()
    parked = Parked.objects.get()
    assert (parked.subscription, parked.key) == (CONTEXT, "counter-a")
    assert parked.error.startswith("Boom")
    assert SagaState.objects.count() == 2


def test_where_another_writer_was_first_it_is_sent(monkeypatch):
    write, tries = bus.DecisionBatch.write, []

    def beaten(self, *args):
        tries.append(1)
        if len(tries) == 1:
            raise WrongExpectedVersion("counter-a", expected=1, actual=2)
        return write(self, *args)

    monkeypatch.setattr(bus.DecisionBatch, "write", beaten)
    count()
    assert step.step(SAGA) == 1
    assert types() == ["Counted"]
    assert enqueued() == ["toy.close"]
    drain()
    assert types() == ["Counted", "Closed"]
    assert SagaState.objects.get().status == "CLOSED"


def test_behind_a_parked_message_of_the_saga_all_is_as_before():
    count("a", 1, "boom")
    drain()
    count("a", 10)
    count("b", 10)
    drain()
    assert types("a") == ["Counted", "Counted"], "it waits behind the one that failed"
    assert types("b") == ["Counted", "Closed"]


ACTS = st.lists(
    st.sampled_from(
        [
            *(("count", name, amount) for name in "abc" for amount in (3, 5, 10)),
            *(("echo", name, 1) for name in "abc"),
            ("pause",),
            ("resume",),
            ("step", SAGA),
            ("step", CONTEXT),
            ("clear",),
        ]
    ),
    max_size=25,
)


def do(act, *given):
    match act:
        case "count":
            count(*given)
        case "echo":
            count(*given, note="echo")
        case "pause":
            pause()
        case "resume":
            pause(False)
        case "step":
            step.step(*given)
        case "clear":
            cursors.clear(retention=timedelta(0))


def outcome(acts):
    """What came of it, by the log and the states: of each counter how often it was closed, and what
    was counted."""
    start = Event.objects.order_by("-position").values_list("position", flat=True).first() or 0
    names = {}
    for act, *rest in acts:
        if act in ("count", "echo"):
            rest[0] = names.setdefault(rest[0], f"{rest[0]}{start}")
        do(act, *rest)
    pause(False)
    drain()
    assert not Parked.objects.exists()
    found = {}
    for name, own in names.items():
        messages = [each.body for each in log.read_stream(f"counter-{own}")]
        state = SagaState.objects.get(saga=SAGA, key=own).state
        counted = sum(each.amount for each in messages if isinstance(each, Counted))
        found[name] = (
            sum(isinstance(each, Closed) for each in messages),
            counted,
            state["status"],
            state["total"],
        )
    return found


@given(ACTS)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_whatever_is_paused_stepped_or_cleared_in_between_nothing_is_missed(acts):
    """Beside a control that sends every command by the outbox. Echoes after the end are refused, so
    only what is independent of the moment is compared."""
    found = outcome(acts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cursors, "claim_idle", lambda names: set())
        control = outcome(acts)
    assert {name: each[0] for name, each in found.items()} == {
        name: each[0] for name, each in control.items()
    }
    for name, (closed, counted, status, total) in found.items():
        assert total == counted or status == "REFUSED", (name, found, control)
        assert closed == (total >= 10 or status in ("CLOSED", "FULL"))


def test_positions_are_drawn_by_one_append_however_many_commands_there_are(monkeypatch):
    """The fence is held from the first position that is drawn to the commit: what comes after the
    append is the move of the cursor alone, for one command as for a hundred."""
    statements = []

    def watch(execute, statement, params, many, context):
        statements.append(statement)
        return execute(statement, params, many, context)

    lengths = []
    for names in (["a"], [f"b{number}" for number in range(100)]):
        for name in names:
            count(name)
        statements.clear()
        with connection.execute_wrapper(watch):
            step.step(SAGA)
        appends = [number for number, each in enumerate(statements) if "eventstore_append" in each]
        assert len(appends) == 1
        lengths.append(len(statements) - appends[0])
    assert lengths[0] == lengths[1] == 2


EFFECT = "toy.effect"


def closes(event, key):
    return Close(event.counter_id)


def counts_a_bug(event, key):
    return Count(event.counter_id, 1, "bug")


def test_the_answer_of_a_provider_is_decided_as_it_is_recorded(toys):
    toys({CONTEXT: Commands(), EFFECT: Effect(perform={Counted: closes})})
    count()
    step.step(EFFECT)
    until(lambda: step.step(EFFECT) or types() == ["Counted", "Closed"])
    assert enqueued() == []
    assert not Parked.objects.exists()
    counted, closed = Event.objects.filter(stream="counter-a").order_by("version")
    assert closed.causation_id == counted.id
    assert closed.metadata == {"actor": EFFECT, "command": "toy.close"}


def test_a_decider_at_fault_parks_the_answer_in_its_context_and_the_call_is_over(toys):
    toys({CONTEXT: Commands(), EFFECT: Effect(perform={Counted: counts_a_bug})})
    count()
    drain()
    parked = Parked.objects.get()
    assert (parked.subscription, parked.key) == (CONTEXT, "counter-a")
    assert parked.error.startswith("Boom")


def test_an_answer_waits_for_a_context_that_is_not_idle(toys):
    toys({CONTEXT: Commands(), EFFECT: Effect(perform={Counted: closes})})
    pause()
    count()
    drain()
    assert types() == ["Counted"]
    assert enqueued() == ["toy.close"]
    pause(False)
    drain()
    assert types() == ["Counted", "Closed"]


def test_a_call_is_leased_as_it_is_parked(toys):
    toys({EFFECT: Effect(perform={Counted: closes}, concurrency=1)})
    caller = calls.Caller(EFFECT, registry.subscriptions()[EFFECT])
    count("a")
    count("a")
    count("b")
    with transaction.atomic():
        taken_in, leased = caller.take_in(10)
    assert taken_in == 3
    assert [(each.stream, token) for each, token in leased] == [("counter-a", 1), ("counter-b", 1)]
    found = Parked.objects.order_by("position").values_list("key", "status", "attempts")
    assert list(found) == [
        ("counter-a", "leased", 1),
        ("counter-a", "waiting", 0),
        ("counter-b", "leased", 1),
    ]
    assert cursors.work() == set()
    count("c")
    with transaction.atomic():
        assert caller.take_in(10) == (1, []), "what was parked before may be due before it"


def test_no_more_is_leased_than_may_begin(toys):
    toys({EFFECT: Effect(perform={Counted: closes}, concurrency=1)})
    caller = calls.Caller(EFFECT, registry.subscriptions()[EFFECT])
    for number in range(calls.QUEUED + 5):
        count(f"c{number}")
    with transaction.atomic():
        taken_in, leased = caller.take_in(100)
    assert (taken_in, len(leased)) == (calls.QUEUED + 5, calls.QUEUED + 1)
    due = Parked.objects.filter(status="waiting", due_at__isnull=False)
    assert due.count() == 4
    assert cursors.work() == {EFFECT}
