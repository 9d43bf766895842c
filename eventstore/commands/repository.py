"""The folded state of streams: what is remembered, brought up to date by what is newer; one query
for any number."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from threading import Lock

import msgspec
from django.db import transaction

from eventstore import log, postgres, registry, settings
from eventstore.aggregate import Aggregate, VersionedState
from eventstore.log import Past, epochs
from eventstore.outbox import cursors
from eventstore.postgres import atomic

from . import snapshots

REMEMBERED = 20_000

_encoder = msgspec.msgpack.Encoder(enc_hook=repr)
_memory: OrderedDict[str, VersionedState] = OrderedDict()
# How much of the bound each takes.
_sizes: dict[str, int] = {}
_taken = 0
_lock = Lock()


def load(streams: Iterable[str]) -> dict[str, VersionedState]:
    """Each stream's version and state. Events never change, so what this process remembers is only
    ever too old; unless the log has lost some of them, and then it is dropped."""
    wanted = tuple(streams)
    try:
        return _loaded(wanted)
    except log.AheadOfTheLog as ahead:
        forget()
        epochs.went_back(ahead.stream, remembered=ahead.version)
        return _loaded(wanted)


def _loaded(streams: Iterable[str]) -> dict[str, VersionedState]:
    epoch = epochs.mark() if _memory else None
    known = {
        stream: _memory.get(stream) or VersionedState(0, registry.aggregate_of(stream).initial)
        for stream in streams
    }
    known |= snapshots.load(stream for stream, folded in known.items() if folded.version == 0)
    newer = log.read_newer(
        {stream: folded.version for stream, folded in known.items()}, epoch=epoch
    )
    for stream, past in groupby(newer, itemgetter(0)):
        known[stream] = _folded(registry.aggregate_of(stream), known[stream], past)
    return known


def load_one(stream: str) -> VersionedState:
    return load([stream])[stream]


def recall(streams: Iterable[str], *, opened: str) -> dict[str, VersionedState] | None:
    """What this process remembers of the streams, which may be too old; None if it does not know
    one of them.

    opened: the one that is not there before. Where it is known all the same, the append finds out,
    and whether that is a repeat.
    """
    from_cache = {opened: VersionedState(0, registry.aggregate_of(opened).initial)}
    for stream in streams:
        if stream == opened:
            continue
        remembered = _memory.get(stream)
        if remembered is None:
            return None
        from_cache[stream] = remembered
    return from_cache


def remember(folded: Mapping[str, VersionedState], *, epoch: int) -> None:
    """Keep states for the next load, once they are committed; none where Django would not know of
    the commit. epoch: in which they were decided on."""
    if transaction.get_connection().in_atomic_block or not postgres.in_transaction():
        transaction.on_commit(lambda: _keep(folded, epoch))


def forget(streams: Iterable[str] | None = None) -> None:
    """Drop what is remembered: after a conflict, and when a test empties the log."""
    with _lock:
        for stream in list(_memory) if streams is None else streams:
            _drop(stream)


def take_snapshots() -> int:
    """Snapshot the streams that have passed a milestone since the last call; returns how many. The
    workers do it."""
    with atomic():
        claimed = cursors.claim(cursors.SNAPSHOTS)
        if claimed is None or claimed.position == claimed.fence:
            return 0
        due = snapshots.passed_milestones(after=claimed.position, until=claimed.fence)
        snapshots.save(load(due))
        cursors.move(cursors.SNAPSHOTS, claimed.fence)
    return len(due)


def _folded(aggregate: Aggregate, known: VersionedState, past: Iterable[Past]) -> VersionedState:
    version, state = known
    for _, at, event in past:
        version, state = at, aggregate.apply(state, event)
    return VersionedState(version, state)


def _keep(folded: Mapping[str, VersionedState], epoch: int) -> None:
    """As many as fit, by number and by bytes; one that is larger than a quarter of the room is not
    kept at all."""
    global _taken
    # The epoch may have ended meanwhile, and been noticed by another thread.
    if epoch != epochs.known_mark():
        return
    room = settings.remembered_bytes()
    with _lock:
        for stream, each in folded.items():
            _drop(stream)  # who was used last goes last
            size = _size(each)
            if size <= room // 4:
                _memory[stream], _sizes[stream] = each, size
                _taken += size
        while len(_memory) > REMEMBERED or _taken > room:
            _drop(next(iter(_memory)))


def _drop(stream: str) -> None:
    global _taken
    _memory.pop(stream, None)
    _taken -= _sizes.pop(stream, 0)


def _size(folded: VersionedState) -> int:
    """As it would be packed; in memory it takes a multiple of that, and about the same one for all
    states."""
    try:
        return len(_encoder.encode(folded.state))
    except (TypeError, ValueError, OverflowError):
        return len(repr(folded.state))


epochs.drop_when_over(forget)
