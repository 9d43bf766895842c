"""The schemas of this project's integration events, as they stand in the registry.

In Avro under `<topic>-<record>` (the topic-record strategy of Confluent's clients, as a topic has
several types), in JSON Schema under the published name.
"""

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured

from eventstore import registry
from eventstore.log import epochs
from eventstore.schemas import files, generation

from . import documents, rules, service, store
from .documents import AVRO, JSON, Document
from .errors import RegistryError


class NotRegistered(LookupError):
    """The registry has not the schema that a relay is to write with."""


class Published(NamedTuple):
    """One type in one format. documents: of all its released versions, the present one last.
    level: its declared compatibility."""

    type: str
    subject: str
    level: str
    documents: Sequence[Document]


class Registration(NamedTuple):
    """What became of one type in one format. problem: why the registry refused it."""

    subject: str
    version: int = 0
    id: int = 0
    problem: str = ""


class Writer(NamedTuple):
    """id: of the schema. parsed: as fastavro has it."""

    id: int
    parsed: Any


def register_all() -> Iterator[Registration]:
    """All types in both formats. What is registered already stays as it is. A schema that the
    registry refuses does not keep the others out."""
    for name in sorted(registry.published_types()):
        for each in (in_avro(name), in_json(name)):
            try:
                found = _version_of(each)
                if found is None or store.settings(each.subject)[0].compatibility != each.level:
                    service.set_compatibility(each.subject, each.level)
                if found is None:
                    for document in each.documents:
                        found = service.register(each.subject, document)
                assert found is not None
                yield Registration(each.subject, found.number, found.stored.id)
            except RegistryError as error:
                yield Registration(each.subject, problem=str(error))


def in_avro(name: str) -> Published:
    """name: published name."""
    schema = generation.avro(registry.published_types()[name], namespace=_context(name))
    texts = [*_earlier(name, "avsc"), json.dumps(schema)]
    return Published(name, avro_subject(name), files.mode_of(name), _read(texts, AVRO))


def in_json(name: str) -> Published:
    """name: published name."""
    schema = generation.json_schema(registry.published_types()[name])
    texts = [*_earlier(name, "schema.json"), json.dumps(schema)]
    return Published(name, name, files.mode_of(name), _read(texts, JSON))


def avro_subject(name: str) -> str:
    return f"events.{_context(name)}-{record_name(name)}"


def record_name(name: str) -> str:
    """The full name of the record of a published type."""
    return f"{_context(name)}.{registry.published_types()[name].__name__}"


def writer(name: str) -> Writer:
    """What a relay writes a published type with. Raises NotRegistered."""
    return _writer(name, epochs.known_mark())


def unregistered(names: Sequence[str]) -> list[str]:
    """Those of the published types whose present Avro schema is not in the registry."""
    return [name for name in names if _version_of(in_avro(name)) is None]


def forget() -> None:
    """Drop this process's cache."""
    _writer.cache_clear()


@cache
def _writer(name: str, mark: int | None) -> Writer:
    """mark: after a restore, the registry may lack the schema."""
    published = in_avro(name)
    found = _version_of(published)
    if found is None:
        raise NotRegistered(
            f"the schema of {name} is not registered as {published.subject}; run: manage.py schemas"
            " --register"
        )
    return Writer(found.stored.id, rules.for_fastavro([found.stored.document]))


def _version_of(published: Published) -> store.Version | None:
    found = store.find_version(published.subject, published.documents[-1], normalize=False)
    return None if found is None or found.deleted else found


def _earlier(name: str, form: str) -> list[str]:
    try:
        return files.earlier(name, form)
    except ImproperlyConfigured:  # a project without schema files
        return []


def _read(texts: Sequence[str], type_: str) -> list[Document]:
    return [documents.read(text, type_) for text in texts]


def _context(name: str) -> str:
    return name.partition(".")[0]
