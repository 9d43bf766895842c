"""What a client registers: the text of a schema in its canonical form, and its references.

Two texts are one schema if they differ in blanks and in the order of members alone.
"""

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NamedTuple, NoReturn
from uuid import UUID

from .errors import INVALID_SCHEMA, TOO_LARGE, RegistryError

AVRO, JSON = "AVRO", "JSON"
TYPES = (JSON, AVRO)
SCHEMA_BYTES = 256 << 10
# Levels of nesting, and values of all levels together: parsers recurse, and comparing is quadratic.
DEEPEST, MOST_NODES, MOST_REFERENCES = 60, 20_000, 50
PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
NAMED = frozenset({"record", "error", "enum", "fixed"})


class Reference(NamedTuple):
    """The schema uses a name that a version of a subject defines."""

    name: str
    subject: str
    version: int


class Document(NamedTuple):
    """text: JSON without blanks. digest, normalized: SHA-256 of the schema as it was given, and of
    its normal form."""

    type: str
    text: str
    references: tuple[Reference, ...]
    digest: bytes
    normalized: bytes

    @property
    def guid(self) -> UUID:
        return UUID(bytes=self.digest[:16])


def read(
    text: str, type_: str = AVRO, references: tuple[Reference, ...] = (), *, normalize: bool = False
) -> Document:
    """normalize: register the normal form. Raises RegistryError: INVALID_SCHEMA, TOO_LARGE."""
    if type_ not in TYPES:
        raise RegistryError(INVALID_SCHEMA, f"the type {type_!r} is none of {', '.join(TYPES)}")
    if (size := len(text.encode("utf-8", "surrogatepass"))) > SCHEMA_BYTES:
        raise RegistryError(TOO_LARGE, size, SCHEMA_BYTES)
    if len(references) > MOST_REFERENCES:
        raise RegistryError(INVALID_SCHEMA, f"it has more than {MOST_REFERENCES} references")
    if len({each.name for each in references}) < len(references):
        raise RegistryError(INVALID_SCHEMA, "two references have the same name")
    tree, ordered = _tree(text), tuple(sorted(references))
    # Members in order; in Avro also full names, and primitive types by their name alone.
    normal = json.loads(_dump(_avro_normal(tree, "") if type_ == AVRO else tree, sort=True))
    given = normal if normalize else tree
    return Document(
        type=type_,
        text=_dump(given),
        references=ordered,
        digest=_digest(type_, given, ordered),
        normalized=_digest(type_, normal, ordered),
    )


def _tree(text: str) -> Any:
    """Raises RegistryError."""
    try:
        tree = json.loads(
            text, parse_constant=_reject_constant, parse_float=_float, parse_int=_integer
        )
        text.encode()
        _dump(tree).encode()
    except RecursionError:
        raise RegistryError(INVALID_SCHEMA, f"it is deeper than {DEEPEST} levels") from None
    except UnicodeEncodeError:
        raise RegistryError(INVALID_SCHEMA, "it has half of a surrogate pair") from None
    except ValueError as error:
        raise RegistryError(INVALID_SCHEMA, f"it is not JSON: {error}") from None
    level, depth, nodes = [tree], 0, 0
    while level:
        depth, nodes = depth + 1, nodes + len(level)
        if depth > DEEPEST:
            raise RegistryError(INVALID_SCHEMA, f"it is deeper than {DEEPEST} levels")
        if nodes > MOST_NODES:
            raise RegistryError(INVALID_SCHEMA, f"it has more than {MOST_NODES} values")
        level = [
            part
            for each in level
            if isinstance(each, dict | list)
            for part in (each.values() if isinstance(each, dict) else each)
        ]
    return tree


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _float(text: str) -> float:
    """Raises RegistryError."""
    found = float(text)
    if not math.isfinite(found):
        raise RegistryError(
            INVALID_SCHEMA, f"the number {text[:50]} is larger than a double can be"
        )
    return found


def _integer(text: str) -> int:
    """Raises RegistryError: comparing makes doubles of integers."""
    _float(text)
    return int(text)


def _dump(tree: Any, *, sort: bool = False) -> str:
    return json.dumps(
        tree, separators=(",", ":"), ensure_ascii=False, sort_keys=sort, allow_nan=False
    )


def _digest(type_: str, tree: Any, references: tuple[Reference, ...]) -> bytes:
    return sha256(_dump([type_, tree, references], sort=True).encode()).digest()


def _avro_normal(schema: Any, namespace: str) -> Any:
    if isinstance(schema, list):
        return [_avro_normal(each, namespace) for each in schema]
    if isinstance(schema, str):
        return _full_name(schema, namespace) if schema not in PRIMITIVES else schema
    if not isinstance(schema, Mapping):
        return schema
    found, type_ = dict(schema), schema.get("type")
    if not isinstance(type_, str):  # no type of Avro: the libraries refuse it
        return found
    if type_ in NAMED and isinstance(schema.get("name"), str):
        found["name"] = _full_name(schema["name"], str(schema.get("namespace") or namespace))
        found.pop("namespace", None)
        namespace = found["name"].rpartition(".")[0]
    for part in ("items", "values"):
        if part in found:
            found[part] = _avro_normal(found[part], namespace)
    if isinstance(found.get("fields"), list):
        found["fields"] = [
            each | {"type": _avro_normal(each.get("type"), namespace)}
            if isinstance(each, dict)
            else each
            for each in found["fields"]
        ]
    return type_ if len(found) == 1 and type_ in PRIMITIVES else found


def _full_name(name: str, namespace: str) -> str:
    return name if "." in name or not namespace else f"{namespace}.{name}"
