"""Test helpers: given(...).when(...).then(...) for aggregates, react(...) for sagas, drain() to do
the workers' part."""

import math
import sys
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
from eventstore.webhooks import sender

from . import registry, results

# Rows of these are never changed or removed.
GUARDED = ("eventstore_event", "eventstore_schema", "eventstore_schema_reference")
UNGUARD = ";".join(f"ALTER TABLE {each} DISABLE TRIGGER {{guard}}" for each in GUARDED)
GUARD = ";".join(f"ALTER TABLE {each} ENABLE ALWAYS TRIGGER {{guard}}" for each in GUARDED)
APPEND_ONLY, NEVER_TRUNCATED = "eventstore_append_only", "eventstore_never_truncated"


# Imported only where there is Avro.
SCHEMA_CACHES = (
    "eventstore.schemas.registry.published",
    "eventstore.schemas.registry.sources",
)


class InTransaction(RuntimeError):
    """A test in a transaction can deliver nothing: a worker sees only what is committed."""


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
        return self.aggregate.decided(self.state, self.command)


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
        function = saga.react[type(event)]
        found = function(reaction.state, event)
        reaction = results.reaction(function, found, saga)
    return reaction


def drain() -> int:
    """Deliver as a worker does, until nothing is due. Raises InTransaction."""
    if transaction.get_connection().in_atomic_block:
        raise InTransaction(
            "drain() delivers what is committed, but this test runs in a transaction, as"
            " django.test.TestCase does. Derive the test from eventstore.testing.JourneyTestCase;"
            " with pytest, use @pytest.mark.django_db(transaction=True), and call"
            " eventstore.testing.let_django_truncate() before."
        )
    return worker.work(seconds=math.inf)


def forget_everything() -> None:
    """Drop this process's caches: of a log that a test has emptied, and of the circuit breakers.
    Stop its relays and its sender of webhooks."""
    relay.this_process.stop()
    sender.this_process.stop()
    relays.process.forget()
    repository.forget()
    calls.this_process.forget()
    for name in SCHEMA_CACHES:
        if module := sys.modules.get(name):
            module.forget()


def let_django_truncate() -> None:
    """Disable the guards against TRUNCATE, with which Django empties tables between tests. Only for
    a test database."""
    _execute_each(UNGUARD.format(guard=NEVER_TRUNCATED))


@contextmanager
def unguarded() -> Iterator[None]:
    """For a test that changes or deletes events, as an attacker or a broken disk would. Only for a
    test database."""
    with transaction.atomic():
        _execute_each(UNGUARD.format(guard=APPEND_ONLY))
        yield
        _execute_each(GUARD.format(guard=APPEND_ONLY))


def _execute_each(statements: str) -> None:
    for statement in statements.split(";"):
        execute(statement).close()


class JourneyTestCase(TransactionTestCase):
    """A test case that commits, so that drain() delivers; a test in a transaction would deliver
    nothing."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        let_django_truncate()

    def setUp(self) -> None:
        forget_everything()
