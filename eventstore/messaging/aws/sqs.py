"""Read a queue of Amazon SQS for one consumer: store what has come, then delete it from the queue.

A message that SQS has given is hidden from other readers for some time; while it is being stored,
that time is extended. What could not be stored comes again, and becomes a dead letter by the
queue's redrive policy after so many attempts.
"""

import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from eventstore.messages import BrokerMessage
from eventstore.messaging.cloudevents import STRUCTURED_JSON
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.dead_letters import DeadLetter
from eventstore.messaging.consumers.intake import Partition
from eventstore.messaging.transport import BrokerProblem, BrokerUnreachable

from . import clients
from .clients import MOST_BYTES, MOST_ENTRIES, Clients, Options, naming_problems, topic_of

logger = logging.getLogger(__name__)

# How many messages are stored in one commit; SQS gives ten at once.
BATCH_MESSAGES = 100
COUNT_SECONDS = 1.0
# SQS takes so many attributes of a message.
MOST_ATTRIBUTES = 10
LONGEST_REASON = 1000
TOO_LARGE_TO_COPY = "The message is too large to be copied: manage.py dead_letters show"


class FromEventBridge(msgspec.Struct):
    """What EventBridge puts around an event."""

    detail: msgspec.Raw
    detail_type: str = msgspec.field(name="detail-type")


class FromSns(msgspec.Struct, rename="pascal"):
    """What SNS puts around a message where raw delivery is off."""

    type: str
    message: str
    message_attributes: dict[str, dict[str, str]] = {}


_from_eventbridge = msgspec.json.Decoder(FromEventBridge).decode
_from_sns = msgspec.json.Decoder(FromSns).decode


class SqsSource:
    """The reader of one consumer."""

    def __init__(self, consumer: str, broker: str, options: Options, *, fifo: bool) -> None:
        self.consumer, self.broker, self.options = consumer, broker, options
        self.queue = Partition(consumer, 0)
        intake.begin(consumer, [self.queue])
        self.clients = Clients(options)
        self.counted_at = 0.0
        self.held = False
        with naming_problems():
            name = clients.queue_name(consumer, fifo=fifo)
            self.url = self.clients.sqs.get_queue_url(QueueName=name)["QueueUrl"]

    def read(self, seconds: float) -> int:
        with naming_problems():
            if time.monotonic() - self.counted_at >= COUNT_SECONDS:
                self.counted_at = time.monotonic()
                # For operators: how many messages wait in the queue, as SQS estimates it.
                name, sqs = "ApproximateNumberOfMessages", self.clients.sqs
                answer = sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[name])
                intake.note_length(self.consumer, self.queue, int(answer["Attributes"][name]))
            if self.held:
                time.sleep(seconds)
                return 0
            found = self._receive()
            if not found:
                return 0
            handles = [each["ReceiptHandle"] for each in found]
            with Hidden(self.clients, self.url, handles, self.consumer):
                messages = [received(self.broker, each) for each in found]
                stored = intake.store_from_queue(self.consumer, self.queue, messages)
            # One that stays comes again, and is recognized as a repeat.
            for entries in _entries(handles):
                self.clients.sqs.delete_message_batch(QueueUrl=self.url, Entries=entries)
            return stored

    def hold(self, held: bool) -> None:
        """SQS keeps what nobody receives."""
        self.held = held

    def close(self) -> None:
        self.clients.close()

    def _receive(self) -> list[dict[str, Any]]:
        """What is there, up to BATCH_MESSAGES; waits for a second at most."""
        found: list[dict[str, Any]] = []
        while len(found) < BATCH_MESSAGES:
            answer = self.clients.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=MOST_ENTRIES,
                WaitTimeSeconds=0 if found else 1,
                VisibilityTimeout=self.options.visibility_seconds,
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages", [])
            found += messages
            if len(messages) < MOST_ENTRIES:
                break
        return found


class Hidden(threading.Thread):
    """Keeps messages of a queue hidden from other readers, however long the block takes. handles:
    their receipts."""

    def __init__(self, made: Clients, url: str, handles: Sequence[str], consumer: str) -> None:
        super().__init__(daemon=True)
        self.clients, self.url, self.handles, self.consumer = made, url, handles, consumer
        self.done = threading.Event()

    def __enter__(self) -> None:
        self.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.join()

    def run(self) -> None:
        seconds = self.clients.options.visibility_seconds
        while not self.done.wait(seconds / 3):
            for entries in _entries(self.handles, VisibilityTimeout=seconds):
                try:
                    with naming_problems():
                        self.clients.sqs.change_message_visibility_batch(
                            QueueUrl=self.url, Entries=entries
                        )
                except BrokerProblem as problem:
                    logger.warning("%s: cannot extend the visibility: %s", self.consumer, problem)


def received(broker: str, message: Mapping[str, Any]) -> BrokerMessage:
    """A message of SQS, which SNS or EventBridge may have put an envelope of its own around."""
    body = message["Body"].encode()
    given = message.get("MessageAttributes", {}).items()
    texts = ((name, each.get("StringValue")) for name, each in given)
    headers = {name: text for name, text in texts if text is not None}
    type_ = headers.get("event-type", "")
    if not headers:
        body, headers, type_ = _unwrapped(body)
    return BrokerMessage(
        broker=broker,
        topic=topic_of(type_) if type_ else "",
        key=None,
        value=body,
        headers=tuple((name.encode(), text.encode()) for name, text in headers.items()),
    )


def _unwrapped(body: bytes) -> tuple[bytes, dict[str, str], str]:
    """Its value, its headers, and its type. What is in no known envelope stays as it is."""
    try:
        event = _from_eventbridge(body)
        return bytes(event.detail), {"content-type": STRUCTURED_JSON}, event.detail_type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    try:
        sent = _from_sns(body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return body, {"content-type": STRUCTURED_JSON}, ""
    headers = {name: each.get("Value", "") for name, each in sent.message_attributes.items()}
    return sent.message.encode(), headers, headers.get("event-type", "")


class SqsDeadLetters:
    """Writes to the dead-letter queue of the consumer."""

    def __init__(self, options: Options, *, fifo: bool) -> None:
        self.fifo = fifo
        self.clients = Clients(options)

    def send(self, consumer: str, letters: Sequence[DeadLetter]) -> None:
        sqs = self.clients.sqs
        name = clients.dead_letter_queue(consumer, fifo=self.fifo)
        with naming_problems():
            url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
            for letter in letters:
                answer = sqs.send_message(QueueUrl=url, **self._message(consumer, letter))
                if "MessageId" not in answer:
                    raise BrokerUnreachable(f"{name} has not confirmed a dead letter")

    def close(self) -> None:
        self.clients.close()

    def _message(self, consumer: str, letter: DeadLetter) -> dict[str, Any]:
        own = {**letter.headers, "dlq-consumer": consumer}
        own["dlq-reason"] = own["dlq-reason"][:LONGEST_REASON]
        others = {name.decode(): (value or b"").decode() for name, value in letter.message.headers}
        headers = dict(list({**own, **others}.items())[:MOST_ATTRIBUTES])
        body = (letter.message.value or b"").decode("utf-8", "replace")
        size = sum(len(name) + len(text.encode()) + 6 for name, text in headers.items())
        message: dict[str, Any] = {
            "MessageBody": body if len(body.encode()) + size <= MOST_BYTES else TOO_LARGE_TO_COPY,
            "MessageAttributes": {
                name: {"DataType": "String", "StringValue": text}
                for name, text in headers.items()
                if text
            },
        }
        if self.fifo:
            message["MessageGroupId"] = sha256(consumer.encode()).hexdigest()
            same = f"{letter.died_at.isoformat()} {letter.retries} {body}"
            message["MessageDeduplicationId"] = sha256(same.encode()).hexdigest()
        return message


def _entries(handles: Sequence[str], **others: int) -> Iterator[list[dict[str, Any]]]:
    """The messages of these receipts, as many as one request takes at a time."""
    for start in range(0, len(handles), MOST_ENTRIES):
        chunk = handles[start : start + MOST_ENTRIES]
        yield [{"Id": str(n), "ReceiptHandle": each, **others} for n, each in enumerate(chunk)]
