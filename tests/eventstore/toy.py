"""A small world for the engine's tests: counters that are counted up, shared out and closed."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from operator import attrgetter
from typing import Any

from django.db import models

from eventstore.aggregate import Aggregate, CommandRejected, Decision, EventsByStream, stream_name
from eventstore.messages import Command, CommandRefused, DeadlinePassed, Event, State, replace
from eventstore.models import ReadModel
from eventstore.subscriptions import (
    DELETED,
    Commands,
    Deleted,
    Effect,
    Projection,
    Reaction,
    Row,
    Saga,
)


class Counted(Event, frozen=True):
    counter_id: str
    amount: int = 1
    note: str = ""


class Closed(Event, frozen=True):
    counter_id: str


class Count(Command, frozen=True):
    counter_id: str
    amount: int = 1
    note: str = ""


class Close(Command, frozen=True):
    counter_id: str


class Move(Command, frozen=True):
    source: str
    target: str
    amount: int


class CounterClosed(CommandRejected):
    """What is closed is counted no more."""


class Boom(Exception):
    """A handler at fault."""


class Counter(State, frozen=True):
    total: int = 0
    closed: bool = False


def count(counter: Counter, command: Count) -> list[Event]:
    if counter.closed:
        raise CounterClosed(command.counter_id)
    if command.note == "bug":
        raise Boom(command.counter_id)
    return [Counted(command.counter_id, command.amount, command.note)]


def close(counter: Counter, command: Close) -> list[Event]:
    return [] if counter.closed else [Closed(command.counter_id)]


COUNTER = Aggregate(
    category="counter",
    identity="counter_id",
    initial=Counter(),
    decide={Count: count, Close: close},
    evolve={
        Counted: lambda counter, event: replace(counter, total=counter.total + event.amount),
        Closed: lambda counter, event: replace(counter, closed=True),
    },
)


def both(command: Move) -> Sequence[str]:
    return [counter(command.source), counter(command.target)]


def move(states: Mapping[str, Any], command: Move) -> EventsByStream:
    if any(state.closed for state in states.values()):
        raise CounterClosed(command.source)
    return {
        counter(command.source): [Counted(command.source, -command.amount)],
        counter(command.target): [Counted(command.target, command.amount)],
    }


def counter(counter_id: str) -> str:
    return stream_name(COUNTER.category, counter_id)


class Tally(ReadModel):
    """heard: the amounts in the order in which they came. The table is made by conftest.py."""

    counter_id = models.TextField(primary_key=True)
    total = models.IntegerField(default=0)
    heard = models.JSONField(default=list)
    note = models.TextField(default="")

    class Meta:
        app_label = "toy"
        db_table = "toy_tally"
        constraints = [
            models.CheckConstraint(condition=models.Q(total__gte=0), name="toy_never_below_zero")
        ]
        indexes = [models.Index(fields=["note"], name="toy_tally_note")]


def counted(row: Row, event: Counted) -> Row:
    if event.note == "boom":
        raise Boom(f"{event.counter_id}: {event.amount}")
    return row | {
        "total": row["total"] + event.amount,
        "heard": [*row["heard"], event.amount],
        "note": event.note,
    }


def closed(row: Row, event: Closed) -> Deleted:
    return DELETED


TALLIES = Projection(
    model=Tally,
    category="counter",
    key=attrgetter("counter_id"),
    evolve={Counted: counted, Closed: closed},
)


class Round(State, frozen=True):
    """Closes a counter at ten, or when nothing has come for too long."""

    status: str = "OPEN"
    total: int = 0
    trouble: str = ""


def add(state: Round, event: Counted) -> Reaction:
    if event.note == "boom":
        raise Boom(event.counter_id)
    state = replace(state, total=state.total + event.amount)
    if state.total >= 10:
        return Reaction(replace(state, status="FULL"), [Close(event.counter_id)])
    if event.note == "echo":
        return Reaction(state, [Count(event.counter_id, 1, "echoed")])
    return Reaction(state, deadline=timedelta(seconds=60) if event.note == "wait" else None)


def full(state: Round, event: Closed) -> Reaction:
    return Reaction(replace(state, status="CLOSED"))


def refused(state: Round, event: CommandRefused) -> Reaction:
    return Reaction(
        replace(state, status="REFUSED", trouble=f"{event.command} {event.code} {event.detail}")
    )


def late(state: Round, event: DeadlinePassed) -> Reaction:
    return Reaction(replace(state, status="LATE"), [Close(event.key)])


ROUND = Saga(
    initial=Round(),
    key=attrgetter("counter_id"),
    react={Counted: add, Closed: full, CommandRefused: refused, DeadlinePassed: late},
)


def no_call(event: Counted, key: str) -> Command:
    return Close(event.counter_id)


EFFECT = Effect(perform={Counted: no_call}, concurrency=2)

EVENTS = [{"toy.counted": Counted, "toy.closed": Closed}]
COMMANDS = [{"toy.count": Count, "toy.close": Close, "toy.move": Move}]
AGGREGATES = [COUNTER]
DECISIONS = [{Move: Decision(both, move)}]
UPCASTERS: list[Any] = []
RENAMED: dict[str, str] = {}
SUBSCRIPTIONS: dict[str, Any] = {"toy": Commands(), "toy.tallies": TALLIES}
