"""Amazon SNS as a broker of relays: at least once; with FIFO topics in order for each aggregate.

Messages are CloudEvents in structured mode: SQS takes ten attributes of a message, and the binary
mode needs more.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from eventstore.messaging import cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.event_bus import Envelope
from eventstore.messaging.transport import Batch, Reading, Sent, TooLarge

from . import administration, requests
from .administration import Administration
from .clients import MOST_BYTES, Clients, Options, topic_of
from .requests import Entry, Failed
from .sqs import SqsDeadLetters, SqsSource

# Not of our making: a retry of these entries alone would not help.
REFUSED = ("InvalidParameter", "InvalidParameterValue", "ParameterValueInvalid", "EntityTooLarge")
LONGEST_GROUP = 128
LIMIT = f"SNS takes at most {MOST_BYTES} (256 KB, message and attributes)"


class Sns:
    """The client of one relay."""

    def __init__(self, relay: str, origin: Origin, options: Mapping[str, Any]) -> None:
        self.relay, self.origin = relay, origin._replace(structured=True)
        self.options = Options(**options)
        self.clients = Clients(self.options)

    @classmethod
    def without_transactions(cls, name: str, origin: Origin, options: Mapping[str, Any]) -> "Sns":
        return cls(name, origin, options)

    @staticmethod
    def administration(options: Mapping[str, Any]) -> Administration:
        return administration.of_sns(Options(**options))

    @staticmethod
    def source(broker: str, reading: Reading, options: Mapping[str, Any]) -> SqsSource:
        given = Options(**options)
        return SqsSource(reading.consumer, broker, given, fifo=given.fifo)

    @staticmethod
    def dead_letters(options: Mapping[str, Any]) -> SqsDeadLetters:
        given = Options(**options)
        return SqsDeadLetters(given, fifo=given.fifo)

    def prepare(self, envelope: Envelope) -> Entry:
        headers, value = cloudevents.for_kafka(envelope, self.origin)
        texts = [text for each in headers.items() for text in (*each, "String")]
        size = len(value) + sum(len(text.encode()) for text in texts)
        if size > MOST_BYTES:
            raise TooLarge(f"{envelope.type} has {size} bytes; {LIMIT}")
        given = {name: text for name, text in headers.items() if text}
        attributes = {n: {"DataType": "String", "StringValue": given[n]} for n in given}
        content = {"Message": value.decode(), "MessageAttributes": attributes}
        key = cloudevents.aggregate_id(envelope.subject)
        if self.options.fifo:
            content["MessageGroupId"] = group_of(key)
            content["MessageDeduplicationId"] = str(envelope.id)
        return Entry(topic_of(envelope.type), key, size, content)

    def send(self, batch: Batch, meanwhile: Callable[[], None]) -> Sent:
        return requests.send(batch, self._publish, meanwhile)

    def close(self) -> None:
        self.clients.close()

    def _publish(self, entries: Sequence[Entry]) -> dict[int, Failed]:
        numbered = [{"Id": str(n), **each.content} for n, each in enumerate(entries)]
        answer = self.clients.sns.publish_batch(
            TopicArn=self.clients.topic_arn(entries[0].topic), PublishBatchRequestEntries=numbered
        )
        return {
            int(each["Id"]): Failed(
                f"{each['Code']}: {each.get('Message', '')}", each["Code"] in REFUSED
            )
            for each in answer.get("Failed", ())
        }


def group_of(key: str) -> str:
    """The group of a FIFO topic: the aggregate's id, or a digest of one that SNS does not take."""
    is_fit = (
        0 < len(key) <= LONGEST_GROUP and key.isascii() and key.isprintable() and " " not in key
    )
    return key if is_fit else sha256(key.encode()).hexdigest()
