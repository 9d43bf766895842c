"""The errors of the registry, with the codes that its clients know."""

from typing import NamedTuple

from eventstore import codec


class Kind(NamedTuple):
    """code: of the Confluent Schema Registry; its first three digits are the HTTP status."""

    code: int
    message: str


NO_SUBJECT = Kind(40401, "Subject '{0}' not found.")
NO_VERSION = Kind(40402, "Version {0} not found.")
NO_SCHEMA = Kind(40403, "Schema {0} not found.")
SUBJECT_DELETED = Kind(
    40404, "Subject '{0}' was soft deleted. Set permanent=true to delete permanently."
)
SUBJECT_NOT_DELETED = Kind(
    40405, "Subject '{0}' was not deleted first before being permanently deleted."
)
VERSION_DELETED = Kind(
    40406, "Subject '{0}' version {1} was soft deleted. Set permanent=true to delete permanently."
)
VERSION_NOT_DELETED = Kind(
    40407, "Subject '{0}' version {1} was not deleted first before being permanently deleted."
)
NO_COMPATIBILITY = Kind(
    40408, "Subject '{0}' does not have subject-level compatibility configured."
)
NO_MODE = Kind(40409, "Subject '{0}' does not have subject-level mode configured.")
INCOMPATIBLE = Kind(
    409,
    'The schema is incompatible with an earlier schema of subject "{0}", compatibility {1}: {2}',
)
INVALID_SCHEMA = Kind(42201, "Invalid schema: {0}")
INVALID_VERSION = Kind(
    42202, "'{0}' is not a version: expected a whole number from 1 to 2147483646, or 'latest'."
)
INVALID_COMPATIBILITY = Kind(
    42203,
    "Invalid compatibility level: expected NONE, BACKWARD, FORWARD, FULL, BACKWARD_TRANSITIVE,"
    " FORWARD_TRANSITIVE or FULL_TRANSITIVE.",
)
INVALID_MODE = Kind(
    42204, "Invalid mode: expected READWRITE, READONLY, READONLY_OVERRIDE or IMPORT."
)
NOT_PERMITTED = Kind(42205, "{0}")
REFERENCED = Kind(42206, "Subject '{0}' version {1} is referenced by the schemas {2}.")
ID_DIFFERS = Kind(42207, "The schema is registered under the id {0}, not under {1}.")
INVALID_SUBJECT = Kind(
    42208,
    "Invalid subject: expected 1 to 500 characters, without control characters, and none of"
    " __GLOBAL and __EMPTY or a name that begins with a colon.",
)
TOO_LARGE = Kind(42209, "The schema has {0} bytes; at most {1} are allowed.")

UNSUPPORTED = Kind(42210, "{0}")


class RegistryError(Exception):
    """What the registry refuses, and why. kind: one of those above."""

    def __init__(self, kind: Kind, *values: object) -> None:
        super().__init__(kind.message.format(*values))
        self.kind = kind

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.kind.code if self.kind.code < 1000 else self.kind.code // 100


class RegistryUnreachable(Exception):
    """The schema registry does not answer, or refuses to. A message that needs it waits."""


class WireError(codec.Undecodable):
    """A message that is not what its first bytes say, whatever its sender is."""


class WrongMagicByte(WireError):
    """The first byte is not zero, or the five bytes of the header are incomplete."""


class InvalidSchemaId(WireError):
    """The id is zero, or larger than any that a registry gives."""


class UnknownSchemaId(WireError):
    """The registry has no schema with this id; it may have one later."""


class ForeignSchemaId(WireError):
    """The id belongs to a schema of another subject."""


class NotAvro(WireError):
    """The id belongs to a schema of another type."""


class BodyMismatch(WireError):
    """The body cannot be decoded by its schema, or has bytes behind its end."""
