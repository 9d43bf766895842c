"""The history of a message's stream, for the functions of a publication: it is read from the log
only when one of them uses it, and it folds only the events since the last known state."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

from django.db import Error

from eventstore import log
from eventstore.aggregate import Aggregate, Folding, VersionedState
from eventstore.log import epochs
from eventstore.messages import Event, Message

logger = logging.getLogger(__name__)

# Maximum of states that one publication keeps.
KEPT_STATES = 10_000


class Read(NamedTuple):
    """Events of a stream: those after a version."""

    after: int
    events: list[Event]


class Histories:
    """Of the streams of one batch. States are kept from batch to batch: of events that never
    change, a state at a version is the same for ever, within an epoch of the log."""

    def __init__(self) -> None:
        # (category of the aggregate, stream) -> state
        self.states: dict[tuple[str, str], VersionedState] = {}
        # stream -> the last version that the batch needs
        self.streams: dict[str, int] = {}
        self.read: dict[str, Read] = {}
        # Whether a stream of the batch cannot be decoded, so that each is read alone.
        self.alone = False
        self.mark: int | None = None

    def begin(self, messages: Sequence[Message]) -> None:
        """A new batch."""
        if self.mark != epochs.known_mark():
            self.mark = epochs.known_mark()
            self.states.clear()
        self.streams.clear()
        for message in messages:
            self.streams[message.stream] = max(message.version, self.streams.get(message.stream, 0))
        self.read.clear()
        self.alone = False

    def of(self, message: Message) -> "History":
        """Up to the message."""
        return History(self, message.stream, message.version, message.body)

    def events(self, stream: str, version: int) -> list[Event]:
        """All events up to the version."""
        return self._events(stream, 0, version)

    def state(self, aggregate: Aggregate, stream: str, version: int, last: Event) -> Any:
        """last: the event of this version."""
        category = aggregate.category
        known = self.states.get((category, stream))
        if known is None or known.version >= version:
            known = VersionedState(0, aggregate.initial)
        newer: Sequence[Event] = (last,)
        if known.version < version - 1:
            newer = self._events(stream, known.version, version, folded_to=category)
        state = aggregate.fold(newer, known.state)
        self.states.pop((category, stream), None)
        self.states[category, stream] = VersionedState(version, state)
        if len(self.states) > KEPT_STATES:
            del self.states[next(iter(self.states))]
        return state

    def _events(self, stream: str, after: int, until: int, folded_to: str = "") -> list[Event]:
        """folded_to: the category of states that other streams are read after; else they are read
        from their beginning."""
        read = self.read.get(stream)
        if read is None or read.after > after or read.after + len(read.events) < until:
            # One query for all streams of the batch that were not read yet, if they can be decoded.
            wanted = {stream: (after, until)}
            if not self.alone:
                more = {}
                for each, last in self.streams.items():
                    known = self.states.get((folded_to, each))
                    version = known.version if known else 0
                    if each != stream and each not in self.read and version < last:
                        more[each] = (version, last)
                try:
                    self._read_streams(wanted | more)
                except Error:
                    raise
                except Exception as error:  # noqa: BLE001  whichever: each is read alone, to find it
                    logger.info("a stream of the batch cannot be read: %s", error)
                    self.alone = True
            if stream not in self.read or self.read[stream].after > after:
                self._read_streams(wanted)
            read = self.read[stream]
        return read.events[after - read.after : until - read.after]

    def _read_streams(self, wanted: Mapping[str, tuple[int, int]]) -> None:
        """wanted: stream -> after which version, up to which one. Reads no page more than
        needed."""
        read = {stream: Read(after, []) for stream, (after, _) in wanted.items()}
        left = sum(until - after for after, until in wanted.values())
        seen = {stream: after for stream, (after, _) in wanted.items()}
        epoch = epochs.mark() if any(seen.values()) else None
        try:
            for stream, version, event in log.read_newer(seen, epoch=epoch):
                if version <= wanted[stream][1]:
                    read[stream].events.append(event)
                    left -= 1
                    if not left:
                        break
        except log.AheadOfTheLog as ahead:
            self.states.clear()
            epochs.went_back(ahead.stream, remembered=ahead.version)
            raise epochs.over() from ahead
        self.read |= read


class History(Sequence[Event], Folding):
    """The events of a stream up to a version. Its length is known without reading it."""

    def __init__(self, histories: Histories, stream: str, version: int, last: Event) -> None:
        self.histories, self.stream, self.version, self.last = histories, stream, version, last

    def __len__(self) -> int:
        return self.version

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._events()[index]

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events())

    def state_of(self, aggregate: Aggregate) -> Any:
        return self.histories.state(aggregate, self.stream, self.version, self.last)

    def _events(self) -> list[Event]:
        if self.version == 1:
            return [self.last]
        return self.histories.events(self.stream, self.version)
