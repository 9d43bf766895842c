"""Aggregates: a category, an initial state, and the tables decide and evolve (Chassaing's Decider);
and decisions over several streams."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import reduce
from typing import Any, NamedTuple

from eventstore import results
from eventstore.messages import Command, Event, State


class CommandRejected(Exception):
    """A command was valid and rejected. Clients get 409, sagas get CommandRefused.

    The class name is the stable code. The docstring and the message are the detail, for people.
    """

    @property
    def code(self) -> str:
        return type(self).__name__

    @property
    def detail(self) -> str:
        """On one line, however the docstring is wrapped."""
        about = " ".join((type(self).__doc__ or "").split())
        return f"{about} {self}".strip()


class Folding:
    """A history that folds itself: only the events since the last state that it knows."""

    def state_of(self, aggregate: "Aggregate") -> Any:
        raise NotImplementedError


class Aggregate(NamedTuple):
    """A consistency boundary (Evans, Domain-Driven Design): one stream, one writer at a time.

    category: first part of its stream names. identity: the field of its commands that names the
    stream. decide: command -> (state, command) -> events. evolve: event -> (state, event) -> state.
    snapshot_every: for long streams, about how many events between two snapshots; 0 for none.
    """

    category: str
    identity: str
    initial: State
    decide: Mapping[type[Command], Callable[[Any, Any], Sequence[Event]]]
    evolve: Mapping[type[Event], Callable[[Any, Any], Any]]
    snapshot_every: int = 0

    def stream(self, command: Command) -> str:
        return stream_name(self.category, getattr(command, self.identity))

    def decided(self, state: Any, command: Command) -> Sequence[Event]:
        """What follows from the command. Raises what the decider raises, and InvalidResult."""
        decide = self.decide[type(command)]
        return results.events(decide, decide(state, command))

    def fold(self, events: Iterable[Event], state: Any = None) -> Any:
        if state is None and isinstance(events, Folding):
            return events.state_of(self)
        return reduce(self.apply, events, self.initial if state is None else state)

    def apply(self, state: Any, event: Event) -> Any:
        try:
            evolve = self.evolve[type(event)]
        except KeyError:
            raise results.InvalidResult(
                f"{type(event).__name__} is not an event of {self.category!r}: `evolve` of that"
                " aggregate has no function for it. Add one, or do not return the event there."
            ) from None
        return results.state(evolve, evolve(state, event))


class VersionedState(NamedTuple):
    """The state of a stream at a version."""

    version: int
    state: Any


EventsByStream = Mapping[str, Sequence[Event]]


class Decision(NamedTuple):
    """A decision over several streams, recorded in all of them or in none.

    streams: the streams to load, the command's own first. decide: (states by stream, command) ->
    events by stream, without the streams that it only read. creates: the aggregate whose stream it
    creates as its own, which does not exist before. unchecked: the reason why a stream that was
    only read may have new events when the decision is recorded. If it is empty, the decision is
    repeated then.
    """

    streams: Callable[[Any], Sequence[str]]
    decide: Callable[[Mapping[str, Any], Any], EventsByStream]
    creates: Aggregate | None = None
    unchecked: str = ""


def decisions(aggregate: Aggregate) -> dict[type[Command], Decision]:
    """The decisions of the aggregate's own table, in the general form."""

    def streams(command: Command) -> Sequence[str]:
        return (aggregate.stream(command),)

    def decide(states: Mapping[str, Any], command: Command) -> EventsByStream:
        stream = aggregate.stream(command)
        return {stream: aggregate.decided(states[stream], command)}

    return dict.fromkeys(aggregate.decide, Decision(streams, decide))


def stream_name(category: str, identity: object) -> str:
    return f"{category}-{identity}"
