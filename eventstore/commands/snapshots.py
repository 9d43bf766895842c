"""Snapshots: stored states, so that a long stream need not be read from its beginning.

A snapshot is a cache, never the source of truth: it names the shape of the code that folded it. One
with another shape, one that cannot be decoded and one that is ahead of its stream are ignored.
Workers take them, never a request.
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

# The index eventstore_event_milestones has every version that is divisible by it.
MILESTONE = 100

LOAD = """
    SELECT stream, version, shape, state, EXISTS (
        SELECT FROM eventstore_event AS last
        WHERE last.stream = taken.stream AND last.version = taken.version
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
    FROM jsonb_to_recordset(%s::jsonb) AS taken(
        stream text, version integer, shape text, state jsonb
    )
    ON CONFLICT (stream) DO UPDATE
    SET version = EXCLUDED.version, shape = EXCLUDED.shape, state = EXCLUDED.state, taken_at = now()
    WHERE eventstore_snapshot.version < EXCLUDED.version
       OR eventstore_snapshot.shape <> EXCLUDED.shape
"""


def load(streams: Iterable[str]) -> dict[str, VersionedState]:
    """The usable snapshots among these streams."""
    with_snapshots = [each for each in streams if registry.aggregate_of(each).snapshot_every]
    states = {}
    for stream, version, taken_shape, state, is_in_log in (
        rows(LOAD, [with_snapshots]) if with_snapshots else []
    ):
        aggregate = registry.aggregate_of(stream)
        if taken_shape != shape(aggregate):
            continue
        if not is_in_log:
            logger.warning(
                "snapshot of %s is at version %s, which is not in the log", stream, version
            )
            continue
        try:
            state = codec.decoder(type(aggregate.initial))(state)
        except msgspec.MsgspecError as error:
            logger.warning(
                "snapshot of %s@%s cannot be decoded; reading its events: %s",
                *(stream, version, error),
            )
        else:
            states[stream] = VersionedState(version, state)
    return states


def save(states: Mapping[str, VersionedState]) -> None:
    taken = [
        {
            "stream": stream,
            "version": version,
            "shape": shape(registry.aggregate_of(stream)),
            "state": state,
        }
        for stream, (version, state) in states.items()
    ]
    if taken:
        execute(SAVE, [codec.encode_json(taken).decode()]).close()


def passed_milestones(*, after: int, until: int) -> list[str]:
    """The streams that became due for a snapshot between two positions."""
    due = []
    for stream, version in rows(PASSED_MILESTONES, [after, until]):
        every = registry.aggregate_of(stream).snapshot_every
        if every and version % every < MILESTONE:
            due.append(stream)
    return due


def shape(aggregate: Aggregate) -> str:
    """A hash of the state's schema and of the code of the evolve functions; it changes with either.

    Functions that these call are not included: after a change there only, add a field to the state
    or empty the table.
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
    # `in {…}` compiles to a frozenset, whose order differs between processes.
    constants = [
        repr(sorted(map(repr, each)) if isinstance(each, frozenset) else each)
        for each in code.co_consts
        if not isinstance(each, CodeType)
    ]
    return [code.co_code, repr(constants).encode(), repr(code.co_names).encode(), *inner]
