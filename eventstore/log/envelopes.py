"""What an append takes and returns: envelopes of events and of outgoing messages, a condition, the
result."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import msgspec

from eventstore.messages import Metadata

ANY = -1
STREAM_EXISTS = -2
NO_STREAM = 0


class NewEvent(msgspec.Struct, frozen=True):
    """An event to append. expected: set only on the first event of each stream. metadata: its
    fields without the ids, as JSON."""

    stream: str
    version: int | None
    expected: int | None
    id: UUID
    type: str
    schema_version: int
    data: msgspec.Raw
    correlation_id: UUID
    causation_id: UUID | None
    metadata: msgspec.Raw


class OutgoingMessage(msgspec.Struct, frozen=True):
    """A message to enqueue in the outbox: a command for a context, or a message for one saga."""

    topic: str
    key: str
    type: str
    id: UUID
    payload: msgspec.Raw
    metadata: Metadata


class Appended(NamedTuple):
    """The result of an append. position: of its last event in the log; 0 if it had none. versions:
    the last version of each stream.

    positions: of all events, in the order in which they were given.
    """

    position: int
    versions: Mapping[str, int]
    positions: Sequence[int] = ()


class AppendCondition(NamedTuple):
    """What a decision read besides the streams that it writes; the append is refused if it has
    changed. Compare DCBAppendCondition of the Python library eventsourcing.

    epoch: the mark of the epoch in which it was read or cached; None where nothing was read.
    versions: streams that are not written -> the version that must still be their last one when
    this append commits, or STREAM_EXISTS.
    """

    epoch: int | None
    versions: Mapping[str, int]


class WrittenOnce(NamedTuple):
    """running: another transaction is writing under the same scope. earlier: the response stored
    for the scope, as JSON."""

    running: bool
    earlier: str | None
    appended: Appended
