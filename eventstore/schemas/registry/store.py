"""The tables of the registry: schemas by id, which are never changed or deleted, and the versions
and settings of subjects."""

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from eventstore.postgres import execute, rows

from .documents import Document, Reference

# Ids of one epoch of the log lie above those of the one before: an id that a restore has lost may
# stand in a message.
IDS_PER_EPOCH = 100_000
# Of versions and ids: PostgreSQL's integer. Less by one, so that it can be compared with the next.
LARGEST_VERSION = 2**31 - 2
LAST_CHARACTER = "\U0010ffff"
# A first key of our own for advisory locks with two keys.
LOCK_KEY = 0x5C4E

# All writers of the registry take turns: two that register the same schema get the same id.
LOCK = "SELECT pg_advisory_xact_lock(%s, 0)"
# An id without a version was deleted permanently: it is not given again, not even to its own text.
FIND_ID = """
    SELECT id
    FROM eventstore_schema
    WHERE digest = %s
      AND EXISTS (SELECT FROM eventstore_subject_version WHERE schema_id = eventstore_schema.id)
"""
NEXT_ID = """
    SELECT greatest(
        (SELECT coalesce(max(id), 0) FROM eventstore_schema),
        (SELECT coalesce(max(number) - 1, 0) FROM eventstore_epoch) * %s::integer
    ) + 1
"""
INSERT = """
    INSERT INTO eventstore_schema (id, guid, type, text, digest, normalized)
    VALUES (%s, %s, %s, %s, %s, %s)
"""
INSERT_REFERENCES = """
    INSERT INTO eventstore_schema_reference (schema_id, name, subject, version)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::integer[])
"""
BY_ID = """
    SELECT id, guid, type, text, digest, normalized FROM eventstore_schema WHERE id = %s
"""
BY_GUID = """
    SELECT id, guid, type, text, digest, normalized
    FROM eventstore_schema
    WHERE guid = %s
    ORDER BY id DESC
    LIMIT 1
"""
REFERENCES = """
    SELECT schema_id, name, subject, version
    FROM eventstore_schema_reference
    WHERE schema_id = ANY(%s)
    ORDER BY schema_id, name
"""
# Of a schema without a version, all were deleted permanently.
USES = """
    SELECT subject, version, deleted
    FROM eventstore_subject_version
    WHERE schema_id = %s
    ORDER BY subject, version
    LIMIT %s
"""
VERSIONS = """
    SELECT version, schema_id, deleted
    FROM eventstore_subject_version
    WHERE subject = %s
    ORDER BY version
    LIMIT %s
"""
# The schemas of a subject before a version, the newest first.
HISTORY = """
    SELECT version, deleted, id, guid, type, text, digest, normalized
    FROM eventstore_subject_version
    JOIN eventstore_schema ON id = schema_id
    WHERE subject = %s AND version < %s AND (NOT deleted OR %s)
    ORDER BY version DESC
    LIMIT %s
"""
VERSION = """
    SELECT version, deleted, id, guid, type, text, digest, normalized
    FROM eventstore_subject_version
    JOIN eventstore_schema ON id = schema_id
    WHERE subject = %s AND version = %s
"""
FIND_VERSION = """
    SELECT version, deleted, id, guid, type, text, digest, normalized
    FROM eventstore_subject_version
    JOIN eventstore_schema ON id = schema_id
    WHERE subject = %s AND (digest = %s OR (normalized = %s AND %s))
    ORDER BY deleted, version DESC
    LIMIT 1
"""
ADD_VERSION = """
    INSERT INTO eventstore_subject_version (subject, version, schema_id) VALUES (%s, %s, %s)
"""
SOFT_DELETE = """
    UPDATE eventstore_subject_version
    SET deleted = true
    WHERE subject = %s AND version = ANY(%s)
"""
HARD_DELETE = "DELETE FROM eventstore_subject_version WHERE subject = %s AND version = ANY(%s)"
SUBJECTS = """
    SELECT subject
    FROM eventstore_subject_version
    WHERE subject BETWEEN %s AND %s AND starts_with(subject, %s)
    GROUP BY subject
    HAVING bool_or(NOT deleted OR %s) AND NOT (%s AND bool_or(NOT deleted))
    ORDER BY subject
    LIMIT %s OFFSET %s
"""
# A page also ends after so many bytes; its first schema may be larger.
SCHEMAS = """
    SELECT subject, version, deleted, id, guid, type, text, digest, normalized
    FROM (
        SELECT *, sum(octet_length(text)) OVER (ORDER BY subject, version) AS bytes
        FROM (
            SELECT subject, version, deleted, schema.*
            FROM eventstore_subject_version AS listed
            JOIN eventstore_schema AS schema ON schema.id = schema_id
            WHERE subject BETWEEN %s AND %s AND starts_with(subject, %s) AND (NOT deleted OR %s)
              AND NOT (%s AND EXISTS (
                SELECT FROM eventstore_subject_version AS later
                WHERE later.subject = listed.subject AND later.version > listed.version
                  AND (NOT later.deleted OR %s)
              ))
            ORDER BY subject, version
            LIMIT %s OFFSET %s
        ) AS page
    ) AS measured
    WHERE bytes - octet_length(text) < %s
    ORDER BY subject, version
"""
# Which schemas refer to a version, while a version of some subject has them.
REFERRING = """
    SELECT DISTINCT reference.schema_id
    FROM eventstore_schema_reference AS reference
    JOIN eventstore_subject_version AS used ON used.schema_id = reference.schema_id
    WHERE reference.subject = %s AND reference.version = %s AND (NOT used.deleted OR %s)
    ORDER BY reference.schema_id
    LIMIT %s OFFSET %s
"""
SETTINGS = """
    SELECT subject, compatibility, mode FROM eventstore_subject_setting WHERE subject IN ('', %s)
"""
SET_COMPATIBILITY = """
    INSERT INTO eventstore_subject_setting (subject, compatibility) VALUES (%s, %s)
    ON CONFLICT (subject) DO UPDATE SET compatibility = EXCLUDED.compatibility
"""
SET_MODE = """
    INSERT INTO eventstore_subject_setting (subject, mode) VALUES (%s, %s)
    ON CONFLICT (subject) DO UPDATE SET mode = EXCLUDED.mode
"""
FORGET_SETTINGS = "DELETE FROM eventstore_subject_setting WHERE subject = %s"


class Stored(NamedTuple):
    """A schema with its id."""

    id: int
    guid: UUID
    document: Document


class Version(NamedTuple):
    """A schema as a version of a subject."""

    subject: str
    number: int
    deleted: bool
    stored: Stored


class Number(NamedTuple):
    """The number of a version, without its schema's text."""

    version: int
    schema_id: int
    deleted: bool


class Settings(NamedTuple):
    """None where a subject has no setting of its own."""

    compatibility: str | None = None
    mode: str | None = None


def lock() -> None:
    """Until the end of the transaction."""
    execute(LOCK, [LOCK_KEY]).close()


def find_id(document: Document) -> int | None:
    found = rows(FIND_ID, [document.digest])
    return int(found[0][0]) if found else None


def add(document: Document, id_: int | None = None) -> int:
    """Needs the lock. id_: what a client imports the schema under. Returns the id."""
    id_ = id_ or int(rows(NEXT_ID, [IDS_PER_EPOCH])[0][0])
    row = [id_, document.guid, document.type, document.text, document.digest, document.normalized]
    execute(INSERT, row).close()
    if document.references:
        columns = map(list, zip(*document.references, strict=True))
        execute(INSERT_REFERENCES, [id_, *columns]).close()
    return id_


def by_id(id_: int) -> Stored | None:
    return _first(rows(BY_ID, [id_]))


def by_guid(guid: UUID) -> Stored | None:
    return _first(rows(BY_GUID, [guid]))


def uses(id_: int, *, limit: int) -> list[tuple[str, int, bool]]:
    """The subjects and versions of a schema, and whether they are deleted."""
    return [(subject, number, deleted) for subject, number, deleted in rows(USES, [id_, limit])]


def versions(subject: str, limit: int) -> list[Number]:
    """Deleted ones, too."""
    return [Number(*row) for row in rows(VERSIONS, [subject, limit])]


def history(
    subject: str, *, limit: int, before: int = LARGEST_VERSION + 1, deleted: bool = False
) -> list[Version]:
    """The newest first."""
    return _versions(subject, rows(HISTORY, [subject, before, deleted, limit]))


def version(subject: str, number: int) -> Version | None:
    found = _versions(subject, rows(VERSION, [subject, number]))
    return found[0] if found else None


def find_version(subject: str, document: Document, *, normalize: bool) -> Version | None:
    """The version that has the schema, before deleted ones."""
    row = [subject, document.digest, document.normalized, normalize]
    found = _versions(subject, rows(FIND_VERSION, row))
    return found[0] if found else None


def add_version(subject: str, number: int, id_: int) -> None:
    execute(ADD_VERSION, [subject, number, id_]).close()


def delete(subject: str, numbers: Sequence[int], *, permanent: bool) -> None:
    execute(HARD_DELETE if permanent else SOFT_DELETE, [subject, list(numbers)]).close()


def subjects(
    prefix: str, *, deleted: bool, only_deleted: bool, limit: int, offset: int
) -> list[str]:
    row = [*_range(prefix), deleted or only_deleted, only_deleted, limit, offset]
    return [subject for (subject,) in rows(SUBJECTS, row)]


def schemas(
    prefix: str, *, deleted: bool, latest: bool, limit: int, offset: int, size: int
) -> list[Version]:
    """size: of all texts together, in bytes."""
    row = [*_range(prefix), deleted, latest, deleted, limit, offset, size]
    found = rows(SCHEMAS, row)
    stored = _stored([row[3:] for row in found])
    return [
        Version(subject, number, gone, each)
        for (subject, number, gone, *_), each in zip(found, stored, strict=True)
    ]


def referring(
    subject: str, number: int, *, deleted: bool, limit: int, offset: int = 0
) -> list[int]:
    return [id_ for (id_,) in rows(REFERRING, [subject, number, deleted, limit, offset])]


def settings(subject: str) -> tuple[Settings, Settings]:
    """Of the subject, and of all."""
    found = {name: Settings(*values) for name, *values in rows(SETTINGS, [subject])}
    return (found.get(subject, Settings()) if subject else Settings()), found.get("", Settings())


def set_compatibility(subject: str, level: str | None) -> None:
    execute(SET_COMPATIBILITY, [subject, level]).close()


def set_mode(subject: str, mode: str | None) -> None:
    execute(SET_MODE, [subject, mode]).close()


def forget_settings(subject: str) -> None:
    execute(FORGET_SETTINGS, [subject]).close()


def _range(prefix: str) -> list[str]:
    """The parameters of a condition on names with this prefix, so that the index is read between
    two of them."""
    return [prefix, prefix + LAST_CHARACTER, prefix]


def _first(found: Sequence[tuple[Any, ...]]) -> Stored | None:
    return next(iter(_stored(found)), None)


def _versions(subject: str, found: Sequence[tuple[Any, ...]]) -> list[Version]:
    stored = _stored([row[2:] for row in found])
    return [
        Version(subject, number, deleted, each)
        for (number, deleted, *_), each in zip(found, stored, strict=True)
    ]


def _stored(found: Sequence[tuple[Any, ...]]) -> list[Stored]:
    """With the references of all of them."""
    references: dict[int, list[Reference]] = {}
    if found:
        for id_, *reference in rows(REFERENCES, [[row[0] for row in found]]):
            references.setdefault(id_, []).append(Reference(*reference))
    return [
        Stored(id_, guid, Document(type_, text, tuple(references.get(id_, ())), digest, normalized))
        for id_, guid, type_, text, digest, normalized in found
    ]
