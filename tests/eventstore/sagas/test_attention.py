"""A person is called beside a process: it goes on beneath, hears its answers, and is found where it
has come to."""

from datetime import UTC, datetime, timedelta

from eventstore.messages import Command, DeadlinePassed, Event, Intervened, replace
from eventstore.sagas import attention
from eventstore.sagas.attention import Attentive
from eventstore.subscriptions import Reaction

PATIENCE = timedelta(minutes=15)


class Asked(Event, frozen=True):
    pass


class Answered(Event, frozen=True):
    pass


class Odd(Event, frozen=True):
    what: str


class Ask(Command, frozen=True):
    pass


class Asking(Attentive, frozen=True):
    answers: int = 0


def waiting(state):
    return Reaction(state, deadline=PATIENCE if state.status == "ASKED" else None)


def answered(state, event):
    if state.status != "ASKED":
        return waiting(state)
    return Reaction(replace(state, status="DONE", answers=state.answers + 1))


REACT = attention.watched(
    {
        Asked: lambda state, event: Reaction(replace(state, status="ASKED"), [Ask()], PATIENCE),
        Answered: answered,
        Odd: lambda state, event: attention.call(waiting(state), event.what),
        DeadlinePassed: lambda state, event: Reaction(state, [Ask()], PATIENCE),
        Intervened: lambda state, event: (
            Reaction(state, [Ask()]) if event.action == "retry" else waiting(state)
        ),
    },
    waiting,
)
SKIP, RETRY = (Intervened("k", action, "seen", "ada") for action in ("skip", "retry"))
LATE = DeadlinePassed("k", datetime(2026, 1, 1, tzinfo=UTC), 1)


def after(*events):
    reaction = Reaction(Asking())
    for event in events:
        reaction = REACT[type(event)](reaction.state, event)
    return reaction


def test_a_person_is_called_and_the_deadline_of_the_step_stays():
    called = after(Asked(), Odd("a parcel"))
    assert (called.state.status, called.state.beneath, called.state.fact) == (
        "NEEDS_ATTENTION",
        "ASKED",
        "a parcel",
    )
    assert called.deadline == PATIENCE


def test_an_answer_is_heard_meanwhile_and_the_person_stays_called():
    heard = after(Asked(), Odd("a parcel"), Answered()).state
    assert (heard.status, heard.beneath, heard.answers) == ("NEEDS_ATTENTION", "DONE", 1)
    assert after(Asked(), Odd("a parcel"), Answered(), Answered()).state.answers == 1


def test_who_has_seen_to_it_finds_the_process_where_it_has_come_to():
    assert after(Asked(), Odd("a parcel"), Answered(), SKIP).state == Asking(
        status="DONE", answers=1
    )
    back = after(Asked(), Odd("a parcel"), SKIP)
    assert (back.state, back.deadline) == (Asking(status="ASKED"), PATIENCE)


def test_a_deadline_and_another_word_reach_the_process_beneath():
    for event in (LATE, RETRY):
        reaction = after(Asked(), Odd("a parcel"), event)
        assert (list(reaction.commands), reaction.state.status) == ([Ask()], "NEEDS_ATTENTION")


def test_a_second_fact_is_told_beside_the_first_and_the_same_one_once():
    assert after(Odd("a parcel"), Odd("a dispute")).state.fact == "a parcel; a dispute"
    once = after(Odd("a parcel"))
    assert after(Odd("a parcel"), Odd("a parcel")).state == once.state
