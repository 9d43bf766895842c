"""Send the messages of a batch in requests of ten, and those again that AWS has not taken."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from eventstore.messaging.transport import (
    Batch,
    BrokerProblem,
    BrokerUnreachable,
    Refused,
    Sent,
)

from .clients import MOST_BYTES, MOST_ENTRIES, naming_problems

# After a request of which some were not taken, doubled each time.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.05, 1.0


class Entry(NamedTuple):
    """A message. topic: one request goes to one. key: of its order. size: in bytes. content: as the
    request has it."""

    topic: str
    key: str
    size: int
    content: dict[str, Any]


class Pending(NamedTuple):
    position: int
    entry: Entry


class Failed(NamedTuple):
    """Of one entry of a request. is_refused: a retry would not help."""

    why: str
    is_refused: bool


# (entries of one request) -> index -> why it was not taken. Raises what botocore raises.
Request = Callable[[Sequence[Entry]], dict[int, Failed]]


def send(batch: Batch, request: Request, meanwhile: Callable[[], None]) -> Sent:
    """One request after another, so that the messages of a key stay in order."""
    pending = [Pending(each.position, entry) for each in batch.messages for entry in each.prepared]
    sender = Sender(batch, request)
    while pending and sender.problem is None:
        pending = sender.send(pending)
    meanwhile()
    left = {each.position for each in pending}
    acknowledged = frozenset(each.position for each in batch.messages) - left - set(sender.refused)
    return Sent(acknowledged - sender.dropped, sender.refused, sender.problem)


class Sender:
    """refused: by position. dropped: what comes behind a refused message of its key."""

    def __init__(self, batch: Batch, request: Request) -> None:
        self.batch, self.request = batch, request
        self.refused: dict[int, Refused] = {}
        self.dropped: set[int] = set()
        self.keys: set[str] = set()
        self.problem: BrokerProblem | None = None
        self.pause = FIRST_PAUSE_SECONDS

    def send(self, pending: Sequence[Pending]) -> list[Pending]:
        """One request; returns what is to be sent still."""
        chosen, others = next_request(pending)
        try:
            with naming_problems():
                failed = self.request([each.entry for each in chosen])
        except BrokerProblem as problem:
            self.problem = problem
            return list(pending)
        again: list[Pending] = []
        for index, each in enumerate(chosen):
            if (failure := failed.get(index)) is None:
                continue
            if failure.is_refused:
                self.refused[each.position] = Refused(failure.why)
                self.keys.add(each.entry.key)
            else:
                again.append(each)
        if again and time.monotonic() + self.pause > self.batch.deadline:
            why = next(each.why for each in failed.values() if not each.is_refused)
            self.problem = BrokerUnreachable(f"some messages are not taken: {why}")
        elif again:
            time.sleep(self.pause)
            self.pause = min(2 * self.pause, LONGEST_PAUSE_SECONDS)
        for each in others:
            if each.entry.key in self.keys:
                self.dropped.add(each.position)
            else:
                again.append(each)
        return again


def next_request(pending: Sequence[Pending]) -> tuple[list[Pending], list[Pending]]:
    """What the next request takes, and the others. Of each key it takes one message: if it fails,
    later ones of its key must not have been taken."""
    chosen: list[Pending] = []
    others: list[Pending] = []
    keys: set[str] = set()
    size = 0
    for number, each in enumerate(pending):
        if len(chosen) == MOST_ENTRIES:
            return chosen, [*others, *pending[number:]]
        fits = not chosen or (
            size + each.entry.size <= MOST_BYTES and each.entry.topic == chosen[0].entry.topic
        )
        if each.entry.key in keys or not fits:
            others.append(each)
        else:
            chosen.append(each)
            size += each.entry.size
        keys.add(each.entry.key)
    return chosen, others
