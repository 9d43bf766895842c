"""What is compared of a message: records of one length, of what the log expects and of what the
broker holds."""

from collections.abc import Iterable
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

from eventstore.messaging.publisher import PER_EVENT

# A place: the position of the domain event times PER_EVENT, plus the index of the message.
EXPECTED = Struct(">16sqQqi?")
FOUND = Struct(">16sqiqq")
ORDERED = Struct(">qQiq")
PLACED = Struct(">Q16s")
# Where a record of either side has its id and its digest; and one that was found its place at the
# broker.
ID, DIGEST, COMPARED = slice(0, 16), slice(16, 24), slice(0, 24)
AT_BROKER = slice(24, 36)
# Larger than each place, from which it is taken away so that the newest sorts first.
LAST_PLACE = 2**64 - 1
# The partition of an expected message that the topic lacks.
ABSENT = -1
NO_POSITION = -1


class Expected(NamedTuple):
    """id: of the message, as 16 bytes. digest: of key, value and headers. place: see above. key: a
    hash of its key, by which its order is compared. murmur: of its key, by which Kafka chooses the
    partition. is_parked: the relay knows that it has not published it."""

    id: bytes
    digest: int
    place: int
    key: int
    murmur: int
    is_parked: bool

    @property
    def position(self) -> int:
        return self.place // PER_EVENT


class Found(NamedTuple):
    """position: the one that the message names; NO_POSITION for none."""

    id: bytes
    digest: int
    partition: int
    offset: int
    position: int


class Ordered(NamedTuple):
    """A message of the topic by its key, newest first. partition: ABSENT if the topic lacks it."""

    key: int
    reversed_place: int
    partition: int
    offset: int

    @property
    def position(self) -> int:
        return (LAST_PLACE - self.reversed_place) // PER_EVENT


class Placed(NamedTuple):
    place: int
    id: bytes

    @property
    def position(self) -> int:
        return self.place // PER_EVENT


def expected(record: bytes) -> Expected:
    return Expected(*EXPECTED.unpack(record))


def found(record: bytes) -> Found:
    return Found(*FOUND.unpack(record))


def ordered(record: bytes) -> Ordered:
    return Ordered(*ORDERED.unpack(record))


def id_of(text: str) -> bytes:
    """16 bytes of an id; of one that is not a UUID a digest."""
    try:
        id_ = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        id_ = b""
    return (
        id_ if len(id_) == 16 else blake2b(text.encode("utf-8", "replace"), digest_size=16).digest()
    )


def placed(record: bytes) -> Placed:
    return Placed(*PLACED.unpack(record))


def digest(key: bytes | None, value: bytes | None, headers: Iterable[tuple[str, bytes]]) -> int:
    """Of a message's bytes, whatever the order of its headers. Equal in this process and in those
    that it forks only: Python's own hash (SipHash with a key of the process), which takes a tenth
    of the time of a cryptographic one."""
    return hash((key, value, frozenset(headers)))
