"""The kinds of subscriptions, as plain tables. A subscription is a name in the wiring and a cursor
in the database.

Their functions are pure: they return what follows from a message. The engine loads states, calls
them for a whole batch, and writes effects and cursor in one commit.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from eventstore.messages import Announced, Command, Event, IntegrationEvent, Message, State

Row = dict[str, Any]


class Deleted:
    """What a function of a projection returns in place of a row that ends."""

    def __repr__(self) -> str:
        return "DELETED"


DELETED = Deleted()

# How a publication's events are written to Kafka.
JSON, AVRO = "json", "avro"
# For `after`: the end of the log when the subscription's cursor is created, by `migrate` or by the
# first worker with the new code.
NOW = -1


class Projection(NamedTuple):
    """A read model as a fold: one row per key.

    model: a subclass of models.ReadModel. category: the category of the streams whose version a row
    has. key: event -> primary key of its row. evolve: event -> (row, event) -> row; a new row
    starts with the model's defaults, DELETED ends the row. The row that a function gets is
    read-only. Values are JSON-native or datetimes.
    It always begins at the beginning of the log, so that a rebuild gives the same rows.
    """

    model: type[Any]
    category: str
    key: Callable[[Any], str]
    evolve: Mapping[type[Event], Callable[[Any, Any], Row | Deleted]]

    @property
    def handles(self) -> Sequence[type[Event]]:
        return tuple(self.evolve)


class Reaction(NamedTuple):
    """The reaction of a saga to an event. deadline: time until DeadlinePassed is sent; None cancels
    the deadline.

    A reaction that changes nothing leaves the deadline unchanged.
    """

    state: State
    commands: Sequence[Command] = ()
    deadline: timedelta | None = None


class Saga(NamedTuple):
    """A process over several aggregates (Garcia-Molina & Salem 1987; a process manager in Hohpe &
    Woolf).

    initial: its state, with a field `status`. key: event -> the process that it belongs to.
    react: event -> (state, event) -> Reaction.
    contract: stored name -> our own class for another context's event with that name
    (consumer-driven contract). upcasters: schema version -> function that converts a stored state,
    as JSON, to the next version. after: the position after which it begins, or NOW; used once, when
    its cursor is created. A position beyond the end of the log means its end.
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


class Unprocessable(Exception):
    """Raised for a message that no retry can handle, such as one that another system has sent with
    impossible data: it is a dead letter at once, with this reason."""


class NotYet(Exception):
    """Raised by an effect whose provider has not finished: it is called again with the same key,
    any number of times. again: after how long."""

    def __init__(self, why: str, *, again: timedelta = timedelta(seconds=30)) -> None:
        super().__init__(why)
        self.again = again


class Effect(NamedTuple):
    """Calls to the outside world, made outside of any transaction.

    perform: event -> (event, idempotency key) -> the command that records the result. An error is
    retried. find: event -> the same, but looks up a call that an earlier attempt may have made; it
    runs before a retry, and returns None if the provider does not know the call.
    key: event -> the idempotency key, made of the subject of the call and its step, which cannot be
    lost or made twice. An event that is lost and recorded again has another id, and the call would
    be made a second time. concurrency: simultaneous calls in one worker process. lease: after this
    time without a result another worker tries; earlier if the first one is dead
    (effects/leases.py).
    trips, rest: after so many consecutive messages that fail with TimeoutError or ConnectionError,
    no calls for so long (circuit breaker). after: where it begins, as in Saga.
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
        """The key of the call, then the keys under which an older version of the code may have made
        it."""
        by_id = str(message.id)
        make_key = self.key.get(type(message.body))
        return (make_key(message.body), by_id) if make_key else (by_id,)


class Publication(NamedTuple):
    """Publishes integration events about our domain events on the event bus.

    publish: event -> (event, history) -> integration events. history: the domain events of its
    stream up to this one, so that a whole state can be published. after: where it begins, as in
    Saga. encoding: JSON, or AVRO for the Confluent wire format, whose schemas stand in the schema
    registry; on Kafka alone, and in binary mode.
    """

    publish: Mapping[type[Event], Callable[[Any, Sequence[Event]], Sequence[IntegrationEvent]]]
    after: int = 0
    encoding: str = JSON

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


class Receiver(NamedTuple):
    """An account that webhooks are sent for. email: "" if it is not known. sees_all: whether it may
    get the events of every owner."""

    email: str
    sees_all: bool


class Webhooks(NamedTuple):
    """Sends integration events to the endpoints that accounts have registered. At most one in a
    wiring.

    publications: an event class belongs to at most one of them. owners: envelopes of the event bus
    -> id of the envelope -> the account that the event belongs to; an event of no account goes only
    to endpoints for all events. receivers: ids of accounts -> those that may get webhooks now.
    account_called: the name of an account -> its id; None if there is none. after: where it begins,
    as of a Saga.
    """

    publications: Sequence[Publication]
    owners: Callable[[Sequence[Any]], Mapping[UUID, str]]
    receivers: Callable[[Collection[str]], Mapping[str, Receiver]]
    account_called: Callable[[str], str | None]
    after: int = NOW

    @property
    def handles(self) -> Sequence[type[Event]]:
        return tuple({event: None for each in self.publications for event in each.publish})


class Consumer(NamedTuple):
    """Handles the integration events of a broker, ours or those of another system.

    broker: its name in settings.EVENTSTORE_BROKERS. topics: on Kafka the topics; on RabbitMQ what
    routing keys begin with, such as `events.orders`. handle: published type, or a pattern such as
    `orders.*` -> (envelope) -> the commands that follow from it. They are enqueued, and rows that
    the handler writes to the default database are committed, together with the cursor.
    contract: published type -> our own class for the data of another system's event
    (consumer-driven contract).
    """

    broker: str
    topics: Sequence[str]
    handle: Mapping[str, Callable[[Any], Iterable[Command] | None]]
    contract: Mapping[str, type[IntegrationEvent]] = {}

    @property
    def handles(self) -> Sequence[type[Event]]:
        return ()


class Commands(NamedTuple):
    """The commands enqueued for one context. Decides them one after another, and so is the only
    writer of the context's aggregates, unless commands are also dispatched directly."""

    @property
    def handles(self) -> Sequence[type[Event]]:
        return ()


Subscription = Projection | Saga | Effect | Publication | Relay | Webhooks | Consumer | Commands
