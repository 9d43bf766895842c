"""Amazon EventBridge as a broker of relays: at least once, without a promised order. Consumers
recognize early messages by their sequence."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eventstore.messaging import cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.transport import Batch, Reading, Sent, TooLarge

from . import administration, requests
from .administration import Administration
from .clients import MOST_BYTES, Clients, Options
from .requests import Entry, Failed
from .sqs import SqsDeadLetters, SqsSource

REFUSED = ("MalformedDetail", "InvalidArgument")
# What EventBridge counts for the time of an entry.
TIME_BYTES = 14
LIMIT = f"EventBridge takes at most {MOST_BYTES} (256 KB, with source and type)"


class EventBridge:
    """The client of one relay."""

    def __init__(self, relay: str, origin: Origin, options: Mapping[str, Any]) -> None:
        self.relay, self.origin = relay, origin._replace(structured=True)
        self.options = Options(**options)
        self.clients = Clients(self.options)
        self.is_known = False

    @classmethod
    def without_transactions(
        cls, name: str, origin: Origin, options: Mapping[str, Any]
    ) -> "EventBridge":
        return cls(name, origin, options)

    @staticmethod
    def administration(options: Mapping[str, Any]) -> Administration:
        return administration.of_eventbridge(Options(**options))

    @staticmethod
    def source(broker: str, reading: Reading, options: Mapping[str, Any]) -> SqsSource:
        return SqsSource(reading.consumer, broker, Options(**options), fifo=False)

    @staticmethod
    def dead_letters(options: Mapping[str, Any]) -> SqsDeadLetters:
        return SqsDeadLetters(Options(**options), fifo=False)

    def prepare(self, envelope: Envelope) -> Entry:
        _, value = cloudevents.for_kafka(envelope, self.origin)
        texts = (self.origin.source, envelope.type)
        size = TIME_BYTES + len(value) + sum(len(each.encode()) for each in texts)
        if size > MOST_BYTES:
            raise TooLarge(f"{envelope.type} has {size} bytes; {LIMIT}")
        content = {
            "Time": envelope.time,
            "Source": self.origin.source,
            "DetailType": envelope.type,
            "Detail": value.decode(),
            "EventBusName": self.options.bus,
        }
        return Entry(self.options.bus, cloudevents.aggregate_id(envelope.subject), size, content)

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        return requests.send(batch, self._put, meanwhile)

    def close(self) -> None:
        self.clients.close()

    def _put(self, entries: Sequence[Entry]) -> dict[int, Failed]:
        if not self.is_known:
            # It does not say that a bus is missing: what is put there is gone.
            self.clients.events.describe_event_bus(Name=self.options.bus)
            self.is_known = True
        answer = self.clients.events.put_events(Entries=[each.content for each in entries])
        return {
            index: Failed(
                f"{each['ErrorCode']}: {each.get('ErrorMessage', '')}",
                each["ErrorCode"] in REFUSED,
            )
            for index, each in enumerate(answer["Entries"])
            if each.get("ErrorCode")
        }
