"""What a comparison has found."""

from dataclasses import dataclass, field
from typing import NamedTuple

MISSING, REPEATED, DISORDERED = "missing", "repeated", "out of order"
ALTERED, FOREIGN, PARKED = "altered", "foreign", "parked"
# Kind -> what it means.
KINDS = {
    MISSING: "in the log, and not at the broker",
    REPEATED: "more than once at the broker, under one id",
    DISORDERED: "before an earlier one of its key",
    ALTERED: "its key, value or headers are not those that the log gives",
    FOREIGN: "at the broker, and its id is not of the log",
    PARKED: "held back by the relay: see manage.py dead_letters list",
}
# So many of each kind are listed.
MOST_LISTED = 20


class Difference(NamedTuple):
    """position, stream, type: of the domain event; None and "" for a foreign message. partition,
    offset: of the message; None where the broker has none. A queue has the partition 0, and the
    offset counts its messages."""

    kind: str
    position: int | None
    partition: int | None = None
    offset: int | None = None
    stream: str = ""
    type: str = ""


class Hole(NamedTuple):
    """Messages that the broker had and has no more, as its retention or compaction says.

    partition, until: before which position they were published there; None for compaction, which
    removes them anywhere. messages: how many of the log's.
    """

    partition: int | None
    reason: str
    until: int | None
    messages: int


@dataclass
class Report:
    """after, until: the positions of the log between which was compared. expected: messages that
    the log gives. found: messages of these positions at the broker. newer: behind the relay's
    cursor. earlier: before the first position. others: of another publication's topics, on a queue.
    counts: kind -> number. examples: the first of each kind."""

    relay: str
    place: str
    after: int
    until: int
    expected: int = 0
    found: int = 0
    newer: int = 0
    earlier: int = 0
    others: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    examples: list[Difference] = field(default_factory=list)
    holes: list[Hole] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return not any(self.counts.values())

    def add(self, difference: Difference) -> None:
        self.counts[difference.kind] += 1
        if self.counts[difference.kind] <= MOST_LISTED:
            self.examples.append(difference)
