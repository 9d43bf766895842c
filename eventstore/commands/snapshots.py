"""Folded states kept beside the log, so that a long stream need not be read from its beginning.

A snapshot is a shortcut, never a truth: it is keyed to the shape of the code that folded it, and
one of another shape, one that cannot be read, or one that is ahead of its stream, is ignored. Taken
by the workers, off every request's path.
"""

import hashlib
import logging
from collections.abc import Iterable, Mapping
from functools import cache
from types import CodeType

import msgspec

from eventstore import codec, registry
from eventstore.aggregate import Aggregate, VersionedState
from eventstore.postgres import execute, rows

logger = logging.getLogger(__name__)

# The index eventstore_event_milestones holds every version that this divides.
MILESTONE = 100

LOAD = """
    SELECT stream, version, shape, state, EXISTS (
        SELECT FROM eventstore_event AS last WHERE last.stream = taken.stream
            AND last.version = taken.version
    )
    FROM eventstore_snapshot AS taken
    WHERE stream = ANY(%s)
"""
PASSED_MILESTONES = """
    SELECT stream, max(version)
    FROM eventstore_event
    WHERE position > %s AND position <= %s AND mod(version, 100) = 0
    GROUP BY stream
"""
SAVE = """
    INSERT INTO eventstore_snapshot (stream, version, shape, state)
    SELECT stream, version, shape, state
    FROM jsonb_to_recordset(%s::jsonb) AS taken(stream text, version integer, shape text,
        state jsonb)
    ON CONFLICT (stream) DO UPDATE
    SET version = EXCLUDED.version, shape = EXCLUDED.shape, state = EXCLUDED.state, taken_at = now()
    WHERE eventstore_snapshot.version < EXCLUDED.version
        OR eventstore_snapshot.shape <> EXCLUDED.shape
"""


def load(streams: Iterable[str]) -> dict[str, VersionedState]:
    """The usable snapshots among these streams."""
    wanted = [stream for stream in streams if registry.aggregate_of(stream).snapshot_every]
    found = rows(LOAD, [wanted]) if wanted else []
    usable = {row[0]: _folded(*row) for row in found}
    return {stream: folded for stream, folded in usable.items() if folded is not None}


def save(folded: Mapping[str, VersionedState]) -> None:
    taken = [
        {
            "stream": stream,
            "version": version,
            "shape": shape(registry.aggregate_of(stream)),
            "state": state,
        }
        for stream, (version, state) in folded.items()
    ]
    if taken:
        execute(SAVE, [codec.encode_json(taken).decode()]).close()


def passed_milestones(*, after: int, until: int) -> list[str]:
    """The streams that came to be due for a snapshot between two positions."""
    passed = rows(PASSED_MILESTONES, [after, until])
    return [stream for stream, version in passed if _is_due(stream, version)]


def shape(aggregate: Aggregate) -> str:
    """A name for the form of the state and for the functions that fold it; any change of either
    makes another.

    What these call is not looked into: who changes only that gives the state another field, or
    empties the table.
    """
    return _shape(aggregate.category)


@cache
def _shape(category: str) -> str:
    aggregate = registry.aggregates()[category]
    parts = [msgspec.json.encode(msgspec.json.schema(type(aggregate.initial)), order="sorted")]
    for event, evolve in aggregate.evolve.items():
        parts += [event.__name__.encode(), *_code_of(evolve.__code__)]
    return hashlib.sha256(b"\x00".join(parts)).hexdigest()[:16]


def _code_of(code: CodeType) -> list[bytes]:
    inner = [
        part for each in code.co_consts if isinstance(each, CodeType) for part in _code_of(each)
    ]
    constants = [_spelled(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return [code.co_code, repr(constants).encode(), repr(code.co_names).encode(), *inner]


def _spelled(constant: object) -> str:
    """`in {…}` is a constant whose order is another in each process."""
    return repr(sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant)


def _is_due(stream: str, version: int) -> bool:
    every = registry.aggregate_of(stream).snapshot_every
    return bool(every) and version % every < MILESTONE


def _folded(
    stream: str, version: int, kept: str, state: str, is_in_log: bool
) -> VersionedState | None:
    aggregate = registry.aggregate_of(stream)
    if kept != shape(aggregate):
        return None
    if not is_in_log:
        logger.warning(
            "the snapshot of %s is of version %s, which the log does not have", stream, version
        )
        return None
    try:
        return VersionedState(version, codec.decoder(type(aggregate.initial))(state))
    except msgspec.MsgspecError as error:
        logger.warning(
            "the snapshot of %s at version %s cannot be read, its events are: %s",
            stream,
            version,
            error,
        )
        return None
