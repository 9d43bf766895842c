"""Who listens, as plain tables. Each is a name in the wiring and a cursor in the database: a
subscription.

All four are pure: they say what follows from a message. The engine loads, calls them for a whole
batch, and writes effects and cursor in one commit.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from eventstore.messages import Announced, Command, Event, IntegrationEvent, Message, State

Row = dict[str, Any]

# For `after`: where the log ends when the subscription is first enlisted, by `migrate` or by the
# first worker that knows it.
NOW = -1


class Projection(NamedTuple):
    """A read model as a fold: one row for each key.

    model: a subclass of models.ReadModel. category: whose stream version a row carries.
    key: event -> primary key of its row. evolve: event -> (row, event) -> row; a new row comes as
    the model's defaults, a row that is no more is None. Values are JSON-native, or datetimes.
    It begins where the log does, always: it is the fold of all of it, and is so when it is folded
    anew.
    """

    model: type[Any]
    category: str
    key: Callable[[Any], str]
    evolve: Mapping[type[Event], Callable[[Any, Any], Row | None]]

    @property
    def handles(self) -> Sequence[type[Event]]:
        return tuple(self.evolve)


class Reaction(NamedTuple):
    """What a saga answers. deadline: how long the step may take before DeadlinePassed comes; None
    takes it away.

    A reaction that changes nothing leaves the deadline as it is.
    """

    state: State
    commands: Sequence[Command] = ()
    deadline: timedelta | None = None


class Saga(NamedTuple):
    """A process over several aggregates (Garcia-Molina & Salem 1987; a process manager in Hohpe &
    Woolf).

    initial: its state, with a field `status`. key: event -> which process it belongs to.
    react: event -> (state, event) -> Reaction.
    contract: stored name -> our own class for what another context announces under it
    (consumer-driven contract). upcasters: schema version -> what makes a state of the next one from
    a state stored under it, as JSON. after: the position behind which it begins to hear, or NOW. It
    is looked at once, when the subscription is first enlisted; from then on its cursor says where
    it stands. No further than the log goes.
    """

    initial: State
    key: Callable[[Any], str]
    react: Mapping[type[Event], Callable[[Any, Any], Reaction]]
    contract: Mapping[str, type[Announced]] = {}
    upcasters: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
    after: int = 0

    @property
    def handles(self) -> Sequence[type[Event]]:
        return tuple(self.react)


class NotYet(Exception):
    """Raised by an effect whose provider is still at it: asked again by key, for as long as it
    takes."""

    def __init__(self, why: str, *, again: timedelta = timedelta(seconds=30)) -> None:
        super().__init__(why)
        self.again = again


class Effect(NamedTuple):
    """Calls to the outside world, made outside of any transaction.

    perform: event -> (event, idempotency key) -> the command that records the answer. What it
    raises is tried again. find: event -> the same, of a call that an earlier try may have made
    already; asked before it is made again. None where the provider knows nothing of it.
    key: event -> the idempotency key, from what can neither be lost nor made twice: what the call
    is about, and which step of it. An event that is lost and recorded again has another id, and
    would be called for a second time. concurrency: calls at once in one worker process. lease:
    after this long without an answer another worker tries, and soon after the death of the first
    one (leases.py).
    trips, rest: so many messages that fail in a row with TimeoutError or ConnectionError give the
    provider a rest. after: where it begins, as of a Saga.
    """

    perform: Mapping[type[Event], Callable[[Any, str], Command]]
    find: Mapping[type[Event], Callable[[Any, str], Command | None]] = {}
    key: Mapping[type[Event], Callable[[Any], str]] = {}
    concurrency: int = 16
    lease: timedelta = timedelta(seconds=60)
    trips: int = 10
    rest: timedelta = timedelta(seconds=5)
    after: int = 0

    @property
    def handles(self) -> Sequence[type[Event]]:
        return tuple(self.perform)

    def keys(self, message: Message) -> Sequence[str]:
        """The key of the call, and then any under which it may have been made before it had one of
        its own."""
        by_id = str(message.id)
        named = self.key.get(type(message.body))
        return (named(message.body), by_id) if named else (by_id,)


class Publication(NamedTuple):
    """What others are told of our domain events, put on the event bus.

    publish: event -> (event, history) -> integration events. history: the domain events of its
    stream up to this one, so that a whole state can be told. after: where it begins, as of a Saga.
    """

    publish: Mapping[type[Event], Callable[[Any, Sequence[Event]], Sequence[IntegrationEvent]]]
    after: int = 0

    @property
    def handles(self) -> Sequence[type[Event]]:
        return tuple(self.publish)


class Relay(NamedTuple):
    """Carries a publication to a broker. Named `<publication>@<broker>` in the wiring.

    broker: its name in settings.EVENTSTORE_BROKERS. after: where it begins, as of a Saga.
    """

    publication: Publication
    broker: str
    after: int = 0

    @property
    def handles(self) -> Sequence[type[Event]]:
        return self.publication.handles


class Commands(NamedTuple):
    """The subscription of the commands owed to one context: the single writer of its aggregates,
    where nobody else is."""

    @property
    def handles(self) -> Sequence[type[Event]]:
        return ()


Subscription = Projection | Saga | Effect | Publication | Relay | Commands
