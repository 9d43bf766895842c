"""Copy the dead letters of consumers to `<topic>.dlq`, byte for byte, with headers that say why.

The message stays parked: it can be retried or discarded like any other. The copy is for those who
watch the broker, and at least once.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from eventstore.messages import BrokerMessage
from eventstore.outbox import cursors, parked

BATCH = 100
SUFFIX = ".dlq"


class DeadLetter(NamedTuple):
    """reason: the error of the last attempt. died_at: when the message was parked."""

    message: BrokerMessage
    reason: str
    died_at: datetime
    retries: int

    @property
    def headers(self) -> dict[str, str]:
        found = {
            "dlq-reason": self.reason,
            "dlq-timestamp": self.died_at.isoformat(),
            "original-topic": self.message.topic,
            "retry-count": str(self.retries),
        }
        if self.message.offset >= 0:
            found["original-partition"] = str(self.message.partition)
            found["original-offset"] = str(self.message.offset)
        return found


class DeadLetterTopics(Protocol):
    def send(self, consumer: str, letters: Sequence[DeadLetter]) -> None:
        """Returns when the broker has all of them. Raises BrokerProblem."""

    def close(self) -> None: ...


def copy(consumer: str, topics: DeadLetterTopics) -> int:
    """Copy what has died since the last call. Returns how many. Raises BrokerProblem: then they
    are copied by a later call."""
    dead = parked.uncopied(consumer, BATCH)
    positions = [each.position for each in dead]
    messages = {each.position: each for each in cursors.read_at(consumer, positions)}
    letters = [
        DeadLetter(message.body, each.error, each.parked_at, each.attempts)
        for each in dead
        if (message := messages.get(each.position)) and isinstance(message.body, BrokerMessage)
    ]
    if letters:
        topics.send(consumer, letters)
    if dead:
        parked.mark_copied(consumer, positions)
    return len(letters)
