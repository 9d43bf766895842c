"""What a relay asks of a broker, and what a broker answers."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from .event_bus import Envelope


class BrokerProblem(Exception):
    """The broker takes nothing at present: the whole batch is tried again."""


class BrokerUnreachable(BrokerProblem):
    """No connection, or no answer in time."""


class BrokerBlocked(BrokerProblem):
    """The broker takes no messages: it is short of memory or disk."""


class TopicMissing(BrokerProblem):
    """A topic or exchange does not exist. Topics are created by a command, never by publishing."""


class QueueDiffers(BrokerProblem):
    """A queue or exchange exists with other arguments than those that we declare."""


class Refused(Exception):
    """The broker does not take this one message."""


class TooLarge(Refused):
    """Larger than the broker or our client allows; a retry helps only after a limit is raised."""


class Unroutable(Refused):
    """No queue is bound to the message's routing key."""


class Outgoing(NamedTuple):
    """A domain event on its way, as the messages for the broker that it was translated into: each
    from Transport.prepare."""

    position: int
    prepared: Sequence[Any]


class Batch(NamedTuple):
    """relay: the name of the subscription. mark: the epoch of the log. token: of this batch; each
    has a larger one. settled: the token of the last batch that moved the cursor. deadline: by
    time.monotonic(); no message of the batch may be sent later."""

    relay: str
    mark: int
    token: int
    settled: int
    deadline: float
    messages: Sequence[Outgoing]

    @property
    def left(self) -> float:
        """Seconds until the deadline."""
        return self.deadline - time.monotonic()


class Sent(NamedTuple):
    """acknowledged: the positions that the broker has. refused: by position. All others of the
    batch were not acknowledged, by reason of the problem.

    again: nothing was published on account of what was refused; the rest can be sent at once.
    """

    acknowledged: frozenset[int] = frozenset()
    refused: Mapping[int, Refused] = {}
    problem: BrokerProblem | None = None
    again: bool = False


# relay -> the types that it publishes
Relays = Mapping[str, Iterable[str]]


class Transport(Protocol):
    """One client of one broker, used by one relay in one thread."""

    def prepare(self, envelope: Envelope) -> Any:
        """Encode a message, independently of the connection. Raises Refused if the message cannot
        be sent, whatever the state of the broker; or BrokerProblem."""

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        """Publish in order; return when all is acknowledged, or refused, or the deadline has
        passed. meanwhile: called once all is on its way, before the wait for the broker; raises
        nothing. Raises BrokerProblem."""

    def close(self) -> None:
        """At once: nothing that is still queued may be sent any more."""


class Reading(NamedTuple):
    """What a consumer reads. topics: of Kafka; on RabbitMQ what routing keys begin with. types: the
    published types that its handlers match, and the others of its topics."""

    consumer: str
    topics: Sequence[str]
    types: Sequence[str]


class QueueState(NamedTuple):
    """messages: those that no reader has taken. readers: of processes that read the queue."""

    messages: int
    readers: int


class BrokerState(NamedTuple):
    """What a broker has of what relays and consumers need.

    missing: topics, exchanges and queues. partitions: topic of relays -> their number, where the
    settings say another one. differing: queues that are declared otherwise, each with what the
    broker says. queues: of consumers. ends: (topic, partition) -> the offset after the last
    message. newest: relay -> the largest position that its last batch holds, where the broker
    remembers it.
    """

    missing: Sequence[str] = ()
    partitions: Mapping[str, int] = {}
    differing: Sequence[str] = ()
    queues: Mapping[str, QueueState] = {}
    ends: Mapping[tuple[str, int], int] = {}
    newest: Mapping[str, int] = {}


class Source(Protocol):
    """One client of one broker, used by one consumer in one thread."""

    def read(self, seconds: float) -> int:
        """Wait so long for messages, and store what has come. Returns how many were new. Raises
        BrokerProblem."""

    def hold(self, held: bool) -> None:
        """Stop reading without leaving, or go on."""

    def close(self) -> None: ...
