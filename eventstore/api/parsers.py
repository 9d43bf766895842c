"""A strict JSON parser (RFC 8259; I-JSON, RFC 7493): rejects what Python's parser tolerates, and
says where it is."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser

from .errors import BodyTooLarge, Fault, Malformed, inside

DEEPEST = 32
LARGEST = 2**63 - 1


class StrictJSONParser(BaseParser):
    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> Any:
        headers = parser_context["request"].headers if parser_context else {}
        if headers.get("Content-Encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("", detail="Content-Encoding is not supported.")
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        body: bytes = stream.read(limit + 1)
        if len(body) > limit:
            raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
        try:
            tree = json.loads(
                body.decode(), object_pairs_hook=_object, parse_constant=_reject_constant
            )
        except RecursionError:
            raise Malformed(_too_deep("#")) from None
        except ValueError as error:
            raise Malformed(Fault("#", f"Invalid JSON in UTF-8: {error}", "not_json")) from None
        if fault := _fault(tree, 1):
            raise Malformed(fault._replace(pointer=f"#{fault.pointer}"))
        return tree


class _ObjectWithDuplicates(dict[str, Any]):
    """A JSON object with a repeated name."""

    def __init__(self, pairs: list[tuple[str, Any]], repeated: str) -> None:
        super().__init__(pairs)
        self.repeated = repeated


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    repeated = next(name for name, count in counts.items() if count > 1)
    return _ObjectWithDuplicates(pairs, repeated)


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _fault(value: Any, depth: int) -> Fault | None:
    """The first fault within the value, its pointer relative to the value. Pointers are made on the
    way back only, as most bodies have no fault."""
    parts: Iterable[tuple[str | int, Any]]
    match value:
        case str():
            return _fault_of_text(value)
        case int() if abs(value) > LARGEST:
            return Fault("", "The number does not fit in 64 bits.", "too_large")
        case dict() | list() if depth > DEEPEST:
            return _too_deep("")
        case _ObjectWithDuplicates():
            pointer = inside("", value.repeated)
            return Fault(pointer, "Duplicate member name.", "repeated")
        case dict():
            parts = value.items()
        case list():
            parts = enumerate(value)
        case _:
            return None
    for part, each in parts:
        if found := _fault(part, depth) or _fault(each, depth + 1):
            return found._replace(pointer=inside("", part) + found.pointer)
    return None


def _fault_of_text(text: str) -> Fault | None:
    if "\0" in text:
        return Fault("", "Null characters are not allowed.", "null_characters_not_allowed")
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        return Fault("", "Lone surrogates are not allowed.", "surrogate_characters_not_allowed")
    return None


def _too_deep(pointer: str) -> Fault:
    return Fault(pointer, f"Nested deeper than {DEEPEST} levels.", "too_deep")
