"""One batch of a relay: what is sent of it, what is parked, and how far the cursor may move."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import Error

from eventstore.messages import Message
from eventstore.outbox import parked
from eventstore.outbox.cursors import Claim
from eventstore.outbox.parked import ParkedMessage

from .event_bus import Envelope
from .publisher import Translator
from .transport import BrokerProblem, Outgoing, TooLarge


@dataclass
class Load:
    """What one batch takes. until: where the cursor moves when all is done. is_full: more may
    follow. due: position -> attempts of the parked messages that are tried again. held: keys behind
    which new messages wait.

    prepared: the messages of each position for the broker. refused: why a position cannot be sent.
    problem: why the broker could not be asked.
    """

    claim: Claim
    until: int
    is_full: bool
    messages: Sequence[Message]
    due: Mapping[int, int]
    held: frozenset[str]
    prepared: dict[int, Sequence[Any]] = field(default_factory=dict)
    refused: dict[int, Exception] = field(default_factory=dict)
    problem: BrokerProblem | None = None

    def encode(self, translator: Translator, prepare: Callable[[Envelope], Any]) -> None:
        """Translate the messages, and encode them for the broker. Raises errors of the
        database."""
        translator.begin(self.messages, after=self.claim.position, until=self.until)
        for message in self.messages:
            again = message.position in self.due
            try:
                envelopes = (translator.envelopes_again if again else translator.envelopes)(message)
                self.prepared[message.position] = [prepare(each) for each in envelopes]
            except Error:
                raise
            except BrokerProblem as problem:
                self.problem = problem
                return
            except Exception as error:  # noqa: BLE001  it is this message's fault: it is parked
                self.refused[message.position] = error

    def outgoing(self) -> list[Outgoing]:
        return [Outgoing(each.position, self.prepared[each.position]) for each in sendable(self)]


def sendable(load: Load) -> Iterator[Message]:
    """In order: what is neither refused nor behind a message of its key that is."""
    held = set(load.held)
    for message in load.messages:
        is_new = message.position not in load.due
        if message.position in load.refused:
            held.add(message.stream)
        elif not (is_new and message.stream in held):
            yield message


def passed(load: Load, acknowledged: Iterable[int]) -> tuple[list[ParkedMessage], int]:
    """The messages to be parked, and how far the cursor may move: up to the first one that is
    neither acknowledged nor parked."""
    done, held = frozenset(acknowledged), set(load.held)
    places: list[ParkedMessage] = []
    position = load.claim.position
    for message in load.messages:
        if message.position in load.due:
            continue
        if message.stream in held:
            places.append(ParkedMessage(message.position, message.stream))
        elif error := load.refused.get(message.position):
            held.add(message.stream)
            places.append(failed(message.position, error, attempts=0, key=message.stream))
        elif message.position not in done:
            return places, position
        position = message.position
    return places, load.until


def postponed(load: Load) -> list[ParkedMessage]:
    """The parked messages that were tried again in vain."""
    return [
        failed(at, error, attempts=load.due[at], token=load.due[at])
        for at, error in load.refused.items()
        if at in load.due
    ]


def failed(
    position: int, error: Exception, *, attempts: int, key: str = "", token: int = 0
) -> ParkedMessage:
    """What is too large is a dead letter at once: it stays too large."""
    attempts = parked.ATTEMPTS if isinstance(error, TooLarge) else attempts + 1
    return parked.failed(position, error, attempts=attempts, key=key, token=token)
