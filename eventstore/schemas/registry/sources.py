"""Where a consumer looks up the schema of an id: in the tables of this process's own registry, or
at the address of another one. An id means the same for ever, so each is looked up once."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple, Protocol

from eventstore import settings
from eventstore.log import epochs

from . import rules, service
from .documents import AVRO, Document, Reference
from .errors import (
    NO_SCHEMA,
    NO_SUBJECT,
    NO_VERSION,
    NotAvro,
    RegistryError,
    RegistryUnreachable,
    UnknownSchemaId,
    WireError,
)
from .wire import Schema

KEPT_SCHEMAS = 1000
TIMEOUT_SECONDS = 2.0
# After a failure the registry is not asked for so long: each message of a batch would wait for it.
REST_SECONDS = 1.0


class Found(NamedTuple):
    """subjects: those that have the schema, also deleted ones."""

    document: Document
    subjects: frozenset[str]


class Lookup(Protocol):
    """One registry."""

    def find(self, id_: int) -> Found:
        """Raises RegistryError, RegistryUnreachable, and what the database raises."""

    def resolve(self, reference: Reference) -> Document:
        """As find."""


class OwnTables:
    """The registry of this database."""

    def find(self, id_: int) -> Found:
        document = service.by_id(id_).document
        return Found(document, frozenset(name for name, _ in service.uses(id_, deleted=True)))

    def resolve(self, reference: Reference) -> Document:
        return service.find(reference)


class Remote:
    """A registry behind an address, by the stock client.

    After a failure it rests: until then RegistryUnreachable is raised at once.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        from confluent_kafka.schema_registry import SchemaRegistryClient

        fixed = {"timeout": TIMEOUT_SECONDS, "max.retries": 0}
        self.client: Any = SchemaRegistryClient({**fixed, **options})
        self.rests_until = 0.0
        self.why = ""

    def find(self, id_: int) -> Found:
        schema = self._ask("get_schema", id_)
        subjects = self._ask("get_subjects_by_schema_id", id_, deleted=True)
        return Found(_document(schema), frozenset(subjects))

    def resolve(self, reference: Reference) -> Document:
        found = self._ask("get_version", reference.subject, reference.version, deleted=True)
        return _document(found.schema)

    def check(self) -> None:
        """Whether it answers. Raises RegistryUnreachable."""
        self.rests_until = 0.0
        self._ask("get_schema_types")

    def _ask(self, method: str, *arguments: Any, **options: Any) -> Any:
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        if time.monotonic() < self.rests_until:
            raise RegistryUnreachable(self.why)
        try:
            return getattr(self.client, method)(*arguments, **options)
        except SchemaRegistryError as error:
            for kind in (NO_SCHEMA, NO_SUBJECT, NO_VERSION):
                if error.error_code == kind.code:
                    raise RegistryError(kind, arguments[0]) from None
            self._rest(f"the schema registry answers {error.http_status_code}: {error}")
        except Exception as error:  # noqa: BLE001  of the HTTP library beneath the client
            self._rest(f"the schema registry does not answer: {error!r}")
        raise RegistryUnreachable(self.why)

    def _rest(self, why: str) -> None:
        self.why, self.rests_until = why[:500], time.monotonic() + REST_SECONDS


class Schemas:
    """The schemas that this process has looked up, by id; the oldest are dropped."""

    def __init__(self, lookup: Lookup) -> None:
        self.lookup = lookup
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Schema] = OrderedDict()
        self._mark: int | None = None

    def get(self, id_: int) -> Schema:
        """Raises WireError, RegistryUnreachable, and what the database raises."""
        with self._lock:
            # After a restore, an id that was lost may not be known to this registry any more.
            if self._mark != epochs.known_mark():
                self._mark = epochs.known_mark()
                self._known.clear()
            if id_ in self._known:
                return self._known[id_]
        try:
            document, subjects = self.lookup.find(id_)
            if document.type != AVRO:
                raise NotAvro(f"schema {id_} is of the type {document.type}")
            parts = rules.closure(document, self.lookup.resolve)
            parsed = rules.for_fastavro([*(each.document for each in parts), document])
        except RegistryError as error:
            raise UnknownSchemaId(f"schema {id_}: {error}") from None
        name = parsed.get("name", "") if isinstance(parsed, dict) else ""
        found = Schema(id_, str(name), subjects, parsed)
        with self._lock:
            self._known[id_] = found
            if len(self._known) > KEPT_SCHEMAS:
                self._known.popitem(last=False)
        return found

    def warm(self, ids: Iterable[int]) -> None:
        """Look up what is not known yet, outside of any transaction. Whatever fails is looked up
        again when it is needed."""
        for id_ in ids:
            try:
                self.get(id_)
            except (WireError, RegistryUnreachable):
                continue


@cache
def schemas() -> Schemas:
    """Of the registry that the settings name; one per process."""
    options = settings.schema_registry()
    return Schemas(Remote(options) if options else OwnTables())


def forget() -> None:
    """Drop this process's cache."""
    schemas.cache_clear()


def _document(schema: Any) -> Document:
    """Of another registry, which has checked it."""
    references = tuple(
        Reference(each.name, each.subject, each.version) for each in schema.references or ()
    )
    return Document(schema.schema_type or AVRO, schema.schema_str, references, b"", b"")
