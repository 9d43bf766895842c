"""The event bus over a broker: publish to it, and subscribe to a consumer of the wiring."""

import time
from collections.abc import Iterable
from functools import cache
from itertools import count

from eventstore import postgres
from eventstore.messaging import brokers
from eventstore.messaging.event_bus import Envelope, Subscribers
from eventstore.messaging.transport import Batch, Outgoing, Transport

PUBLISH_SECONDS = 9.0


class InTransaction(RuntimeError):
    """A broker is never waited for in a transaction: publish by a Publication and its relay, which
    carries what was committed."""


class BrokerBus:
    """An EventBus over a broker of the settings.

    consumer: the Consumer of the wiring that reads for the subscribers of this bus. Subscribe in
    each process that delivers, in AppConfig.ready: what no handler of the delivering process
    matches is passed over. Publishing is at least once; it returns when the broker has everything.
    """

    def __init__(self, broker: str, consumer: str) -> None:
        self.broker, self.consumer = broker, consumer
        self.subscribe = subscribers_of(consumer).subscribe
        self.unsubscribe = subscribers_of(consumer).unsubscribe
        self._transport: Transport | None = None
        self._tokens = count(1)

    def publish(self, envelopes: Iterable[Envelope]) -> None:
        """Raises InTransaction, a transport.Refused for a message that the broker does not take,
        or a transport.BrokerProblem; then the caller publishes again, under the same ids."""
        if postgres.in_transaction():
            raise InTransaction(f"publishing to {self.broker} would wait in a transaction")
        if self._transport is None:
            self._transport = brokers.transport_without_transactions(self.broker, "bus")
        prepared = map(self._transport.prepare, envelopes)
        messages = [Outgoing(place, [each]) for place, each in enumerate(prepared)]
        token, deadline = next(self._tokens), time.monotonic() + PUBLISH_SECONDS
        batch = Batch("bus", 0, token, token - 1, deadline, messages)
        sent = self._transport.send(batch, _nothing)
        while sent.again:
            sent = self._transport.send(batch, _nothing)
        if sent.problem or sent.refused:
            self.close()
            raise sent.problem or next(iter(sent.refused.values()))

    def close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()


def _nothing() -> None:
    """There is no other work while the broker is waited for."""


@cache
def subscribers_of(consumer: str) -> Subscribers:
    """Of a consumer, in this process."""
    return Subscribers()
