"""JSON to the letter (RFC 8259, I-JSON of RFC 7493): what Python's reader forgives is refused, and
its place named."""

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
        _demand_plain(parser_context["request"].headers if parser_context else {})
        tree = _read(_body(stream))
        if fault := _fault(tree, 1):
            raise Malformed(fault._replace(pointer=f"#{fault.pointer}"))
        return tree


def _demand_plain(headers: Mapping[str, str]) -> None:
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType(
            "", detail="A body is read as it is: leave Content-Encoding out."
        )


def _body(stream: IO[Any]) -> bytes:
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge(f"The body is larger than {limit} bytes.")
    return body


def _read(body: bytes) -> Any:
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_not_json)
    except RecursionError:
        raise Malformed(_too_deep("#")) from None
    except ValueError as error:
        raise Malformed(Fault("#", f"This is not JSON in UTF-8: {error}", "not_json")) from None


class _Repeating(dict[str, Any]):
    """An object that has some name twice."""

    def __init__(self, pairs: list[tuple[str, Any]], repeated: str) -> None:
        super().__init__(pairs)
        self.repeated = repeated


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    counts = Counter(name for name, _ in pairs)
    return _Repeating(pairs, next(name for name, count in counts.items() if count > 1))


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON number")


def _fault(value: Any, depth: int) -> Fault | None:
    """The first one within, its pointer as seen from the value: most bodies have none, and need no
    pointers."""
    parts: Iterable[tuple[str | int, Any]]
    match value:
        case str():
            return _fault_of_text(value)
        case int() if abs(value) > LARGEST:
            return Fault("", "This number does not fit 64 bits.", "too_large")
        case dict() | list() if depth > DEEPEST:
            return _too_deep("")
        case _Repeating():
            return Fault(inside("", value.repeated), "This name is given twice.", "repeated")
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
        return Fault("", "The character NUL is not allowed.", "null_characters_not_allowed")
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        return Fault("", "A lone surrogate is not a character.", "surrogate_characters_not_allowed")
    return None


def _too_deep(pointer: str) -> Fault:
    return Fault(pointer, f"This lies deeper than {DEEPEST} levels.", "too_deep")
