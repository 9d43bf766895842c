"""Load the states of aggregates: from this process's cache, brought up to date with newer events;
one query for any number of streams (Repository, Evans)."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from threading import Lock

import msgspec

from eventstore import log, registry, settings
from eventstore.aggregate import VersionedState
from eventstore.log import epochs
from eventstore.outbox import cursors
from eventstore.postgres import atomic

from . import snapshots

# Maximum of cached states.
REMEMBERED = 20_000

_encoder = msgspec.msgpack.Encoder(enc_hook=repr)


class StateCache:
    """Stream -> its last known state. Bounded by number and by bytes; the least recently stored
    state goes first. Safe for threads."""

    def __init__(self) -> None:
        self.states: OrderedDict[str, VersionedState] = OrderedDict()
        self.bytes = 0
        self._sizes: dict[str, int] = {}
        self._lock = Lock()

    def put(self, states: Mapping[str, VersionedState]) -> None:
        """A state larger than a quarter of the maximum is not cached."""
        most = settings.remembered_bytes()
        with self._lock:
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


def _load(streams: Iterable[str]) -> dict[str, VersionedState]:
    cached = cache.states
    epoch = epochs.mark() if cached else None
    states = {stream: cached.get(stream) or _initial(stream) for stream in streams}
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


def recall(streams: Iterable[str], *, opened: str) -> dict[str, VersionedState] | None:
    """The cached states of the streams, which may be too old; None if one of them is not cached.

    opened: the stream that the command creates. If it exists after all, the append finds out, and
    also whether the command is a repeat.
    """
    states = {opened: _initial(opened)}
    for stream in streams:
        if stream == opened:
            continue
        cached = cache.states.get(stream)
        if cached is None:
            return None
        states[stream] = cached
    return states


def remember(states: Mapping[str, VersionedState], *, epoch: int) -> None:
    """Cache committed states for the next load. epoch: in which they were decided; another thread
    may have noticed its end meanwhile."""
    if epoch == epochs.known_mark():
        cache.put(states)


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


def _initial(stream: str) -> VersionedState:
    return VersionedState(0, registry.aggregate_of(stream).initial)


epochs.drop_when_over(forget)
