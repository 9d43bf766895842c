"""The folded state of streams: what is remembered, brought up to date by what is newer; one query for any number."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter

from django.db import transaction

from . import outbox, postgres, registry, snapshots, store
from .aggregate import Aggregate, Folded
from .store import Past

REMEMBERED = 20_000


_memory: OrderedDict[str, Folded] = OrderedDict()


def load(streams: Iterable[str]) -> dict[str, Folded]:
    """Each stream's version and state. Events never change, so what this process remembers is only ever too old."""
    known = {stream: _memory.get(stream) or Folded(0, registry.aggregate_of(stream).initial) for stream in streams}
    known |= snapshots.load(stream for stream, folded in known.items() if folded.version == 0)
    newer = store.read_newer({stream: folded.version for stream, folded in known.items()})
    for stream, past in groupby(newer, itemgetter(0)):
        known[stream] = _folded(registry.aggregate_of(stream), known[stream], past)
    return known


def load_one(stream: str) -> Folded:
    return load([stream])[stream]


def recall(streams: Iterable[str], *, opened: str) -> dict[str, Folded] | None:
    """What this process remembers of the streams, which may be too old; None if it does not know one of them.

    opened: the one that is not there before.
    """
    recalled = {opened: Folded(0, registry.aggregate_of(opened).initial)}
    for stream in streams:
        remembered = _memory.get(stream)
        if (remembered is None) != (stream == opened):
            return None
        recalled[stream] = remembered or recalled[stream]
    return recalled


def remember(folded: Mapping[str, Folded]) -> None:
    """Keep states for the next load, once they are committed; none where Django would not know of the commit."""
    if transaction.get_connection().in_atomic_block or not postgres.in_transaction():
        transaction.on_commit(lambda: _keep(folded))


def forget(streams: Iterable[str] | None = None) -> None:
    """Drop what is remembered: after a conflict, and when a test empties the log."""
    for stream in list(_memory) if streams is None else streams:
        _memory.pop(stream, None)


def take_snapshots() -> int:
    """Snapshot the streams that have passed a milestone since the last call; returns how many. The workers do it."""
    with transaction.atomic():
        claimed = outbox.claim(outbox.SNAPSHOTS)
        if claimed is None:
            return 0
        due = snapshots.passed_milestones(after=claimed.position, until=claimed.fence)
        snapshots.save(load(due))
        outbox.move(outbox.SNAPSHOTS, claimed.fence)
    return len(due)


def _folded(aggregate: Aggregate, known: Folded, past: Iterable[Past]) -> Folded:
    version, state = known
    for _, at, event in past:
        version, state = at, aggregate.apply(state, event)
    return Folded(version, state)


def _keep(folded: Mapping[str, Folded]) -> None:
    for stream, each in folded.items():
        _memory.pop(stream, None)  # who was used last goes last
        _memory[stream] = each
    while len(_memory) > REMEMBERED:
        _memory.popitem(last=False)
