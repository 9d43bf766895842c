"""Read a request: its headers and its JSON body.

The headers are Accept, Prefer (RFC 7240), If-Match and If-None-Match (RFC 9110), Idempotency-Key,
and the headers of read-your-writes. The JSON parser is strict (RFC 8259; I-JSON, RFC 7493): it
rejects what Python's parser tolerates, and says where it is.
"""

import json
import re
import string
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import IO, Any, NoReturn

from django.conf import settings
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.request import Request

from .errors import BodyTooLarge, Fault, LengthRequired, Malformed, inside

Versions = Container[int]
# PostgreSQL's integer.
LARGEST_VERSION = 2**31 - 1

MINIMAL, REPRESENTATION = "minimal", "representation"
# A longer Prefer header is ignored as a whole: its end might change what its beginning means.
LONGEST_PREFER = 1000
TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")

TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
TAGS = re.compile(rf"{TAG}(?:[ \t]*,[ \t]*{TAG})*")
# An entity tag of this API: the version of the stream, a point, and the position of the row's last
# event. A command compares the version only: what happens to an order's payment meanwhile makes no
# decision about the order stale.
STRONG = re.compile(r'(?<!W/)"([0-9]{1,10})(?:\.[0-9]{1,19})?"')

IDEMPOTENCY_KEY = "Idempotency-Key"
VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')

# Of JSON: the levels of nesting, and the numbers.
DEEPEST = 32
LARGEST = 2**63 - 1


class Negotiation(DefaultContentNegotiation):
    """A shortcut for views with one renderer: DRF's full negotiation is skipped when the client
    accepts it by name, accepts everything, or sends no Accept header."""

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> Any:
        renderers = list(renderers)
        [first, *others] = renderers
        if not others and request.headers.get("Accept", "*/*") in ("*/*", first.media_type):
            return first, first.media_type
        return super().select_renderer(request, renderers, format_suffix)


def require_length(request: Request) -> None:
    """Call it before the body is read. Raises LengthRequired."""
    if "Transfer-Encoding" in request.headers:
        raise LengthRequired


def number(request: Request, header: str, digits: int) -> int | None:
    """None without the header. Raises Malformed."""
    given = request.headers.get(header)
    if given is None:
        return None
    if not re.fullmatch(rf"[0-9]{{1,{digits}}}", given):
        raise Malformed(
            Fault(header, f"Expected a whole number of at most {digits} digits.", "invalid")
        )
    return int(given)


def idempotency_key(request: Request) -> str | None:
    """The key without its quotes; None without the header. Raises Malformed.

    After draft-ietf-httpapi-idempotency-key-header. Quotes are optional: "a" and a are one key.
    """
    given = request.headers.get(IDEMPOTENCY_KEY)
    if given is None:
        return None
    given = given.strip(" \t")
    if given.startswith('"'):
        quoted = QUOTED.fullmatch(given)
        given = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not VISIBLE.fullmatch(given):
        problem = "Expected 1 to 255 visible ASCII characters, quoted or unquoted."
        raise Malformed(Fault(IDEMPOTENCY_KEY, problem, "invalid"))
    return given


# --- Conditional requests (RFC 9110)


class _AnyTag:
    def __contains__(self, tag: object) -> bool:
        return True


ANY_TAG = _AnyTag()


def etag(row: Any) -> str:
    return f'"{row.version}.{row.position}"'


def if_match(request: Request) -> Versions | None:
    """The stream versions on which the client bases its command; None without the header. A weak
    tag, and a tag of another format, match no version. Raises Malformed."""
    given = request.headers.get("If-Match")
    if given is None:
        return None
    if given.strip() == "*":
        return range(1, LARGEST_VERSION + 1)
    return frozenset(int(version) for version in STRONG.findall(_tags("If-Match", given)))


def if_none_match(request: Request) -> Container[str]:
    """The entity tags that the client has. Weak tags compare equal to strong ones, as RFC 9110
    demands for If-None-Match. Raises Malformed."""
    given = request.headers.get("If-None-Match")
    if given is None:
        return ()
    if given.strip() == "*":
        return ANY_TAG
    return re.findall(r'"[^"]*"', _tags("If-None-Match", given))


def _tags(header: str, given: str) -> str:
    given = given.strip(" \t")
    if not TAGS.fullmatch(given):
        raise Malformed(
            Fault(header, 'Expected * or a list of entity tags such as "17".', "invalid")
        )
    return given


# --- Prefer (RFC 7240): never an error; an unknown or malformed preference is ignored


def preferences(request: Request) -> Mapping[str, str]:
    """Preference in lower case -> value, "" without one. Of a repeated preference the first counts.
    Parameters are ignored."""
    header, found = request.headers.get("Prefer", ""), dict[str, str]()
    if not header or len(header) > LONGEST_PREFER:
        return found
    for part in _split(header, ","):
        name, _, value = next(_split(part, ";")).partition("=")
        name, plain = name.strip(" \t"), _unquoted(value.strip(" \t"))
        if name and TOKEN.issuperset(name) and plain is not None:
            found.setdefault(name.lower(), plain)
    return found


def preferred_wait(request: Request) -> int | None:
    """Seconds that the client is willing to wait for a fresher response."""
    given = preferences(request).get("wait", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 6 else None


def _split(text: str, at: str) -> Iterator[str]:
    """The parts between separators outside of quotes. One pass over the text."""
    begin, quoted, escaped = 0, False, False
    for place, each in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and each == "\\":
            escaped = True
        elif each == '"':
            quoted = not quoted
        elif each == at and not quoted:
            yield text[begin:place]
            begin = place + 1
    yield text[begin:]


def _unquoted(value: str) -> str | None:
    """Without quotes and escapes; None when they are unbalanced, or blanks are not quoted."""
    if not value.startswith('"'):
        return None if '"' in value or " " in value or "\t" in value else value
    plain, inner = list[str](), iter(value[1:])
    for each in inner:
        if each == '"':
            return None if next(inner, None) is not None else "".join(plain)
        plain.append(next(inner, "") if each == "\\" else each)
    return None


# --- The JSON body


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
            if "\0" in value:
                detail = "Null characters are not allowed."
                return Fault("", detail, "null_characters_not_allowed")
            if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
                detail = "Lone surrogates are not allowed."
                return Fault("", detail, "surrogate_characters_not_allowed")
            return None
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


def _too_deep(pointer: str) -> Fault:
    return Fault(pointer, f"Nested deeper than {DEEPEST} levels.", "too_deep")
