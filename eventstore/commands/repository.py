"""Load the states of aggregates: from this process's cache, brought up to date with newer events;
one query for any number of streams (Repository, Evans)."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from threading import Lock
from typing import NamedTuple

import msgspec

from eventstore import log, registry, settings
from eventstore.aggregate import Aggregate, VersionedState
from eventstore.log import epochs
from eventstore.outbox import cursors
from eventstore.postgres import atomic

from . import snapshots

# Maximum of cached states.
REMEMBERED = 20_000

_encoder = msgspec.msgpack.Encoder(enc_hook=repr)


class Recalled(NamedTuple):
    """States from the cache. epoch: in which they were cached; None if it holds none yet."""

    epoch: int | None
    states: dict[str, VersionedState]


class StateCache:
    """Stream -> its last known state. Bounded by number and by bytes; the least recently stored
    state goes first. Safe for threads.

    All states are of one epoch of the log: that of the first one that was put since all were
    dropped.
    """

    def __init__(self) -> None:
        self.states: OrderedDict[str, VersionedState] = OrderedDict()
        self.epoch: int | None = None
        self.bytes = 0
        self._sizes: dict[str, int] = {}
        self._lock = Lock()

    def known(self, streams: Iterable[str]) -> Recalled:
        """Those of these streams that are cached."""
        with self._lock:
            cached = {each: self.states[each] for each in streams if each in self.states}
            return Recalled(self.epoch, cached)

    def put(self, states: Mapping[str, VersionedState], *, epoch: int | None) -> None:
        """A state larger than a quarter of the maximum is not cached, nor one of another epoch:
        another thread may have noticed its end meanwhile."""
        most = settings.remembered_bytes()
        with self._lock:
            if self.epoch is None:
                self.epoch = epochs.known_mark()
            if epoch != self.epoch:
                return
            for stream, state in states.items():
                self._drop(stream)  # so that it becomes the newest one
                size = size_of(state)
                if size <= most // 4:
                    self.states[stream], self._sizes[stream] = state, size
                    self.bytes += size
            while len(self.states) > REMEMBERED or self.bytes > most:
                self._drop(next(iter(self.states)))

    def drop(self, streams: Iterable[str] | None = None) -> None:
        """None: all."""
        with self._lock:
            if streams is None:
                self.epoch = None
            for stream in list(self.states) if streams is None else streams:
                self._drop(stream)

    def _drop(self, stream: str) -> None:
        self.states.pop(stream, None)
        self.bytes -= self._sizes.pop(stream, 0)


cache = StateCache()


def load(streams: Iterable[str]) -> dict[str, VersionedState]:
    """The current version and state of each stream.

    Events never change, so a cached state can only be too old. The exception is a log that has lost
    events: then the cache is dropped.
    """
    names = tuple(streams)
    try:
        return _load(names)
    except log.AheadOfTheLog as ahead:
        forget()
        epochs.went_back(ahead.stream, remembered=ahead.version)
        return _load(names)


def _load(streams: Sequence[str]) -> dict[str, VersionedState]:
    epoch, cached = cache.known(streams)
    states = {
        stream: cached.get(stream) or VersionedState(0, registry.aggregate_of(stream).initial)
        for stream in streams
    }
    states |= snapshots.load(stream for stream, state in states.items() if state.version == 0)
    versions = {stream: state.version for stream, state in states.items()}
    for stream, newer in groupby(log.read_newer(versions, epoch=epoch), itemgetter(0)):
        apply, (version, state) = registry.aggregate_of(stream).apply, states[stream]
        for _, at, event in newer:
            version, state = at, apply(state, event)
        states[stream] = VersionedState(version, state)
    return states


def load_one(stream: str) -> VersionedState:
    return load([stream])[stream]


def recall(streams: Sequence[str], *, creates: Aggregate) -> Recalled | None:
    """The cached states of the streams, which may be too old; None if one of them is not cached.

    creates: the aggregate whose stream, the first one, the command creates. If it exists after all,
    the append finds out, and also whether the command is a repeat.
    """
    epoch, states = cache.known(streams)
    states[streams[0]] = VersionedState(0, creates.initial)
    return Recalled(epoch, states) if all(stream in states for stream in streams) else None


def remember(states: Mapping[str, VersionedState], *, epoch: int) -> None:
    """Cache committed states for the next load. epoch: in which they were decided."""
    cache.put(states, epoch=epoch)


def forget(streams: Iterable[str] | None = None) -> None:
    """Drop cached states, by default all: after a conflict, and when a test empties the log."""
    cache.drop(streams)


def take_snapshots() -> int:
    """Snapshot the streams that have passed a milestone since the last call; called by the workers.
    Returns the number of snapshots."""
    with atomic():
        claimed = cursors.claim(cursors.SNAPSHOTS)
        if claimed is None or claimed.position == claimed.fence:
            return 0
        due = snapshots.passed_milestones(after=claimed.position, until=claimed.fence)
        snapshots.save(load(due))
        cursors.move(cursors.SNAPSHOTS, claimed.fence)
    return len(due)


def size_of(state: VersionedState) -> int:
    """Its size in MessagePack. In memory a state takes a multiple of that, nearly the same one for
    all states."""
    try:
        return len(_encoder.encode(state.state))
    except (TypeError, ValueError, OverflowError):
        return len(repr(state.state))


epochs.drop_when_over(forget)
