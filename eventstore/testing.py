"""Test helpers: given(...).when(...).then(...) for aggregates, react(...) for sagas, drain() to do
the workers' part."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from django.db import transaction
from django.test import TransactionTestCase

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.commands import repository
from eventstore.delivery import relays, worker
from eventstore.effects import calls
from eventstore.messages import Command, Event
from eventstore.messaging import relay
from eventstore.postgres import execute
from eventstore.subscriptions import Reaction, Saga

from . import registry

UNGUARD = "ALTER TABLE eventstore_event DISABLE TRIGGER {guard}"
GUARD = "ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {guard}"
APPEND_ONLY, NEVER_TRUNCATED = "eventstore_append_only", "eventstore_never_truncated"


class Scenario:
    def __init__(self, aggregate: Aggregate, history: Sequence[Event]) -> None:
        self.aggregate, self.state = aggregate, aggregate.fold(history)
        self.command: Command | None = None

    def when(self, command: Command) -> "Scenario":
        self.command = command
        return self

    def then(self, *expected: Event) -> None:
        decided = list(self._decide())
        assert decided == list(expected), f"\n  decided  {decided}\n  expected {list(expected)}"

    def refused(self, refusal: type[CommandRejected]) -> None:
        try:
            decided = self._decide()
        except refusal:
            return
        raise AssertionError(f"expected {refusal.__name__}, but decided {list(decided)}")

    def _decide(self) -> Sequence[Event]:
        assert self.command is not None, "call .when(command) first"
        return self.aggregate.decide[type(self.command)](self.state, self.command)


def given(aggregate: Aggregate, *history: Event) -> Scenario:
    return Scenario(aggregate, history)


def decided(histories: Mapping[str, Sequence[Event]], command: Command) -> dict[str, list[Event]]:
    """The events that a decision over several streams returns, without streams that get none."""
    decision = registry.decision_for(command)
    known = {
        stream: registry.aggregate_of(stream).fold(histories.get(stream, ()))
        for stream in decision.streams(command)
    }
    return {
        stream: list(events) for stream, events in decision.decide(known, command).items() if events
    }


def react(saga: Saga, *events: Event) -> Reaction:
    """The saga's reaction to the last of the events."""
    reaction = Reaction(saga.initial)
    for event in events:
        reaction = saga.react[type(event)](reaction.state, event)
    return reaction


def drain() -> int:
    """Deliver as a worker does, until nothing is due."""
    return worker.work(seconds=math.inf)


def forget_everything() -> None:
    """Drop this process's caches: of a log that a test has emptied, and of the circuit breakers.
    Stop its relays."""
    relay.this_process.stop()
    relays.process.forget()
    repository.forget()
    calls.this_process.forget()


def let_django_truncate() -> None:
    """Disable the log's guard against TRUNCATE, with which Django empties tables between tests.
    Only for a test database."""
    execute(UNGUARD.format(guard=NEVER_TRUNCATED)).close()


@contextmanager
def unguarded() -> Iterator[None]:
    """For a test that changes or deletes events, as an attacker or a broken disk would. Only for a
    test database."""
    with transaction.atomic():
        execute(UNGUARD.format(guard=APPEND_ONLY)).close()
        yield
        execute(GUARD.format(guard=APPEND_ONLY)).close()


class JourneyTestCase(TransactionTestCase):
    """A test case that commits, so that drain() delivers; a test in a transaction would deliver
    nothing."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        let_django_truncate()

    def setUp(self) -> None:
        forget_everything()
