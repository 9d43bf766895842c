"""What clients do with the registry: register schemas, look them up, delete versions, and set the
compatibility level and the mode of a subject."""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple
from uuid import UUID

from eventstore.postgres import atomic
from eventstore.schemas import compatibility

from . import rules, store
from .documents import Document, Reference
from .errors import (
    ID_DIFFERS,
    INCOMPATIBLE,
    INVALID_COMPATIBILITY,
    INVALID_MODE,
    INVALID_SCHEMA,
    INVALID_SUBJECT,
    INVALID_VERSION,
    NO_COMPATIBILITY,
    NO_MODE,
    NO_SCHEMA,
    NO_SUBJECT,
    NO_VERSION,
    NOT_PERMITTED,
    REFERENCED,
    SUBJECT_DELETED,
    SUBJECT_NOT_DELETED,
    VERSION_DELETED,
    VERSION_NOT_DELETED,
    RegistryError,
)
from .rules import Parsed
from .store import Stored, Version

READWRITE, READONLY, READONLY_OVERRIDE, IMPORT = MODES = (
    "READWRITE",
    "READONLY",
    "READONLY_OVERRIDE",
    "IMPORT",
)
LATEST = "latest"
# For all subjects: the settings that hold where a subject has none.
ALL = ""
RESERVED = ("__GLOBAL", "__EMPTY")
LONGEST_SUBJECT = 500
# Of one subject, with those that are softly deleted. All of them are compared one after another.
MOST_VERSIONS, PAGE, COMPARE_SECONDS = 1000, 20, 5.0
# An id that a client imports may be so large; later ones lie above it.
LARGEST_IMPORTED_ID = 1_500_000_000
# In a list, where the client sets no smaller limit: names and numbers; schemas, and their bytes.
MOST_NAMES, MOST_SCHEMAS, SCHEMAS_BYTES = 20_000, 1000, 4 << 20
MOST_REASONS = 20


class Page(NamedTuple):
    """limit: a negative one is none; then the most that a list has."""

    offset: int = 0
    limit: int = -1

    def most(self, most: int) -> int:
        return min(self.limit, most) if self.limit >= 0 else most


WHOLE = Page()


# --- Register and look up


def register(
    subject: str, document: Document, *, id_: int | None = None, number: int | None = None
) -> Version:
    """The schema as a version of the subject; an earlier one if it has it already.

    id_, number: in the mode IMPORT, what another registry has given to it. Two clients that
    register the same schema at the same time get the same version. Raises RegistryError.
    """
    _check_subject(subject)
    if found := _registered(subject, document, id_, number):
        return found
    parsed = rules.parse(document, find)
    with atomic():
        store.lock()
        if found := _registered(subject, document, id_, number):
            return found
        known = {each.version for each in store.versions(subject, MOST_VERSIONS)}
        mode = mode_in_scope(subject)
        _check_mode(subject, mode, id_)
        if len(known) >= MOST_VERSIONS:
            raise RegistryError(
                NOT_PERMITTED, f"Subject '{subject}' has {MOST_VERSIONS} versions; delete some."
            )
        if mode != IMPORT:
            level = compatibility_of(subject, in_scope=True)
            if why := list(islice(_violations(subject, parsed, level), MOST_REASONS)):
                raise RegistryError(INCOMPATIBLE, subject, level, "; ".join(why)[:5000])
        if number in known:
            raise RegistryError(NOT_PERMITTED, f"Version {number} has another schema.")
        number = number or max(known, default=0) + 1
        stored = _stored_under(document, id_)
        store.add_version(subject, number, stored)
        made = store.version(subject, number)
        assert made is not None
        return made


def look_up(
    subject: str, document: Document, *, normalize: bool = False, deleted: bool = False
) -> Version:
    """The version of the subject that has the schema. Raises RegistryError."""
    found = store.find_version(subject, document, normalize=normalize)
    if found is None or (found.deleted and not deleted):
        _check_exists(subject, deleted=deleted)
        rules.parse(document, find)
        raise RegistryError(NO_SCHEMA, "of this text")
    return found


def with_versions(references: Iterable[Reference]) -> tuple[Reference, ...]:
    """Version -1 of a reference is the latest one. Raises RegistryError."""
    return tuple(
        each._replace(version=version(each.subject, LATEST).number) if each.version == -1 else each
        for each in references
    )


def find(reference: Reference) -> Document:
    """What a reference leads to, also to a deleted version. Raises RegistryError."""
    found = store.version(reference.subject, reference.version)
    if found is None:
        raise RegistryError(
            INVALID_SCHEMA,
            f"the reference {reference.name!r} leads to version {reference.version} of"
            f" '{reference.subject}', which is not registered",
        )
    return found.stored.document


def by_id(id_: int) -> Stored:
    """Also of a schema whose versions are softly deleted. Raises RegistryError."""
    found = store.by_id(id_) if 0 < id_ <= store.LARGEST_VERSION else None
    if found is None or not store.uses(id_, limit=1):
        raise RegistryError(NO_SCHEMA, id_)
    return found


def by_guid(guid: UUID) -> Stored:
    """Raises RegistryError."""
    found = store.by_guid(guid)
    if found is None or not store.uses(found.id, limit=1):
        raise RegistryError(NO_SCHEMA, guid)
    return found


def uses(id_: int, *, deleted: bool = False, subject: str = "") -> list[tuple[str, int]]:
    """The subjects and versions that have the schema. Raises RegistryError."""
    by_id(id_)
    return [
        (name, number)
        for name, number, gone in store.uses(id_, limit=MOST_NAMES)
        if (deleted or not gone) and subject in ("", name)
    ]


# --- Subjects and versions


def subjects(
    prefix: str = "", *, deleted: bool = False, only_deleted: bool = False, page: Page = WHOLE
) -> list[str]:
    return store.subjects(
        prefix,
        deleted=deleted,
        only_deleted=only_deleted,
        limit=page.most(MOST_NAMES),
        offset=page.offset,
    )


def schemas(
    prefix: str = "", *, deleted: bool = False, latest: bool = False, page: Page = WHOLE
) -> list[Version]:
    return store.schemas(
        prefix,
        deleted=deleted,
        latest=latest,
        limit=page.most(MOST_SCHEMAS),
        offset=page.offset,
        size=SCHEMAS_BYTES,
    )


def versions(
    subject: str, *, deleted: bool = False, only_deleted: bool = False, page: Page = WHOLE
) -> list[int]:
    """Raises RegistryError."""
    _check_exists(subject, deleted=deleted or only_deleted)
    wanted = (
        each.version
        for each in store.versions(subject, MOST_VERSIONS)
        if (each.deleted if only_deleted else deleted or not each.deleted)
    )
    return list(islice(wanted, page.offset, page.offset + page.most(MOST_VERSIONS)))


def version(subject: str, number: str, *, deleted: bool = False) -> Version:
    """number: a whole number, or "latest". Raises RegistryError."""
    if number in (LATEST, "-1"):
        found = next(iter(store.history(subject, limit=1, deleted=deleted)), None)
    else:
        found = store.version(subject, parse_number(number))
    if found is None or (found.deleted and not deleted):
        _check_exists(subject, deleted=deleted)
        raise RegistryError(NO_VERSION, number)
    return found


def referring(subject: str, number: str, page: Page = WHOLE) -> list[int]:
    """The ids of the schemas that refer to the version. Raises RegistryError."""
    found = version(subject, number, deleted=True)
    return store.referring(
        subject, found.number, deleted=False, limit=page.most(MOST_NAMES), offset=page.offset
    )


def delete_subject(subject: str, *, permanent: bool = False) -> list[int]:
    """All its versions, softly or permanently, and its settings. Raises RegistryError."""
    with atomic():
        store.lock()
        known = store.versions(subject, MOST_VERSIONS)
        _check_writable(subject)
        if not known:
            raise RegistryError(NO_SUBJECT, subject)
        active = [each.version for each in known if not each.deleted]
        if permanent and active:
            raise RegistryError(SUBJECT_NOT_DELETED, subject)
        if not permanent and not active:
            raise RegistryError(SUBJECT_DELETED, subject)
        numbers = [each.version for each in known] if permanent else active
        for number in numbers:
            _check_unreferenced(subject, number, permanent=permanent)
        store.delete(subject, numbers, permanent=permanent)
        store.forget_settings(subject)
        return numbers


def delete_version(subject: str, number: str, *, permanent: bool = False) -> int:
    """Softly or permanently. Raises RegistryError."""
    with atomic():
        store.lock()
        found = version(subject, number, deleted=number not in (LATEST, "-1"))
        _check_writable(subject)
        if permanent and not found.deleted:
            raise RegistryError(VERSION_NOT_DELETED, subject, number)
        if not permanent and found.deleted:
            raise RegistryError(VERSION_DELETED, subject, number)
        _check_unreferenced(subject, found.number, permanent=permanent)
        store.delete(subject, [found.number], permanent=permanent)
        return found.number


# --- Compatibility


def compatibility_of(subject: str = ALL, *, in_scope: bool = False) -> str:
    """Raises RegistryError where a subject has no level of its own. in_scope: the one that holds
    for it."""
    own, all_ = store.settings(subject)
    if own.compatibility is None and subject and not in_scope:
        raise RegistryError(NO_COMPATIBILITY, subject)
    return own.compatibility or all_.compatibility or compatibility.DEFAULT


def set_compatibility(subject: str, level: str) -> None:
    """Raises RegistryError."""
    if level not in compatibility.MODES:
        raise RegistryError(INVALID_COMPATIBILITY)
    with atomic():
        _check_setting(subject)
        store.set_compatibility(subject, level)


def forget_compatibility(subject: str) -> str:
    """Returns the former level. Raises RegistryError."""
    with atomic():
        _check_setting(subject)
        own, all_ = store.settings(subject)
        former = own.compatibility if subject else all_.compatibility or compatibility.DEFAULT
        if former is None:
            raise RegistryError(NO_SUBJECT, subject)
        store.set_compatibility(subject, None)
        return former


def incompatibilities(subject: str, document: Document, number: str | None = None) -> list[str]:
    """Why the schema may not be registered, by the level that holds for the subject; compared with
    one version alone if it is named. Raises RegistryError."""
    parsed = rules.parse(document, find)
    level = compatibility_of(subject, in_scope=True)
    if number is None:
        return list(islice(_violations(subject, parsed, level), MOST_REASONS))
    if number in (LATEST, "-1"):
        compared = store.history(subject, limit=1)
    else:
        compared = [version(subject, number)]
    return [why for each in compared for why in _between(parsed, each, level)][:MOST_REASONS]


# --- Mode


def mode_of(subject: str = ALL, *, in_scope: bool = False) -> str:
    """As compatibility_of."""
    own, all_ = store.settings(subject)
    if own.mode is None and subject and not in_scope:
        raise RegistryError(NO_MODE, subject)
    return mode_in_scope(subject) if in_scope else own.mode or all_.mode or READWRITE


def mode_in_scope(subject: str) -> str:
    """That of all subjects counts if it is READONLY_OVERRIDE."""
    own, all_ = store.settings(subject)
    if all_.mode == READONLY_OVERRIDE:
        return READONLY_OVERRIDE
    return own.mode or all_.mode or READWRITE


def set_mode(subject: str, mode: str, *, force: bool = False) -> None:
    """force: begin to import even where there are schemas. Raises RegistryError."""
    if mode not in MODES:
        raise RegistryError(INVALID_MODE)
    if subject:
        _check_subject(subject)
    with atomic():
        store.lock()
        there = store.history(subject, limit=1) if subject else subjects(page=Page(limit=1))
        if mode == IMPORT and not force and there and mode_in_scope(subject) != IMPORT:
            raise RegistryError(
                NOT_PERMITTED, "Cannot import: there are schemas already. Use force=true."
            )
        store.set_mode(subject, mode)


def forget_mode(subject: str) -> str:
    """Returns the former mode. Raises RegistryError."""
    with atomic():
        store.lock()
        own, _ = store.settings(subject)
        if not subject or own.mode is None:
            raise RegistryError(NO_SUBJECT, subject)
        store.set_mode(subject, None)
        return own.mode


# --- What they check


def parse_number(text: str) -> int:
    """Of a version. Raises RegistryError."""
    is_number = text.isascii() and text.isdigit() and len(text) <= 10
    if not is_number or not 0 < int(text) <= store.LARGEST_VERSION:
        raise RegistryError(INVALID_VERSION, text[:50])
    return int(text)


def _registered(
    subject: str, document: Document, id_: int | None, number: int | None
) -> Version | None:
    """What needs no change, in any mode."""
    found = store.find_version(subject, document, normalize=False)
    if found is None or found.deleted or number not in (None, found.number):
        return None
    return found if id_ in (None, found.stored.id) else None


def _check_subject(subject: str) -> None:
    is_reserved = subject in RESERVED or subject.startswith(":")
    if not 0 < len(subject) <= LONGEST_SUBJECT or not subject.isprintable() or is_reserved:
        raise RegistryError(INVALID_SUBJECT)


def _check_setting(subject: str) -> None:
    """Of a subject or of all: it may be changed. Takes the lock."""
    if subject:
        _check_subject(subject)
    store.lock()
    _check_writable(subject)


def _check_writable(subject: str) -> None:
    mode = mode_in_scope(subject)
    if mode in (READONLY, READONLY_OVERRIDE):
        name = f"Subject '{subject}'" if subject else "The registry"
        raise RegistryError(NOT_PERMITTED, f"{name} is in read-only mode.")


def _check_mode(subject: str, mode: str, id_: int | None) -> None:
    _check_writable(subject)
    if mode == IMPORT and id_ is None:
        raise RegistryError(
            NOT_PERMITTED, f"Subject '{subject}' is in import mode: a schema needs its id."
        )
    if mode != IMPORT and id_ is not None:
        raise RegistryError(NOT_PERMITTED, f"Subject '{subject}' is not in import mode.")


def _check_exists(subject: str, *, deleted: bool) -> None:
    known = store.versions(subject, MOST_VERSIONS)
    if not any(deleted or not each.deleted for each in known):
        raise RegistryError(NO_SUBJECT, subject)


def _check_unreferenced(subject: str, number: int, *, permanent: bool) -> None:
    found = store.referring(subject, number, deleted=permanent, limit=10)
    if found:
        raise RegistryError(REFERENCED, subject, number, ", ".join(map(str, found)))


def _violations(subject: str, parsed: Parsed, level: str) -> Iterator[str]:
    """By the newest version, or by all of them, the newest first."""
    if level == "NONE":
        return
    _, _, transitive = level.partition("_")
    deadline = time.monotonic() + COMPARE_SECONDS
    page = store.history(subject, limit=PAGE if transitive else 1)
    while page:
        for each in page:
            if time.monotonic() > deadline:
                raise RegistryError(
                    NOT_PERMITTED, f"Comparing with all versions of '{subject}' takes too long."
                )
            yield from _between(parsed, each, level)
        before = page[-1].number
        page = store.history(subject, limit=PAGE, before=before) if transitive else []


def _between(parsed: Parsed, earlier: Version, level: str) -> Iterator[str]:
    """The violations of a level by a schema and an earlier version."""
    direction = level.partition("_")[0]
    other = rules.parse(earlier.stored.document, find)
    if direction in ("BACKWARD", "FULL"):
        for why in rules.incompatibilities(parsed, other):
            yield f"it cannot read data of version {earlier.number}: {why}"
    if direction in ("FORWARD", "FULL"):
        for why in rules.incompatibilities(other, parsed):
            yield f"version {earlier.number} cannot read its data: {why}"


def _stored_under(document: Document, id_: int | None) -> int:
    """The id of the schema, which is stored if it is new. Needs the lock."""
    found = store.find_id(document)
    if id_ is None:
        return found or store.add(document)
    if found not in (None, id_):
        raise RegistryError(ID_DIFFERS, found, id_)
    known = store.by_id(id_)
    if known is None:
        if not 0 < id_ <= LARGEST_IMPORTED_ID:
            allowed = f"from 1 to {LARGEST_IMPORTED_ID}"
            raise RegistryError(NOT_PERMITTED, f"An id may be imported {allowed}, not {id_}.")
        return store.add(document, id_)
    if known.document.digest != document.digest:
        raise RegistryError(NOT_PERMITTED, f"The id {id_} has another schema, for ever.")
    return id_
