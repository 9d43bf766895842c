"""Read a request: its headers and its JSON body.

The headers are Accept, Prefer (RFC 7240), If-Match and If-None-Match (RFC 9110), Idempotency-Key,
and the headers of read-your-writes. The JSON parser is strict (RFC 8259; I-JSON, RFC 7493): it
rejects what Python's parser tolerates, and says where it is.
"""

import codecs
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

from .errors import HEADER, BodyTooLarge, Fault, LengthRequired, Malformed, inside

Versions = Container[int]
# PostgreSQL's integer.
LARGEST_VERSION = 2**31 - 1

MINIMAL, REPRESENTATION = "minimal", "representation"
APPLIED = "Preference-Applied"
# A longer Prefer header is ignored as a whole: its end might change what its beginning means.
LONGEST_PREFER = 1000
TOKEN = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")

TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
# Empty elements of a list are ignored (RFC 9110, 5.6.1).
TAGS = re.compile(rf"[ \t,]*{TAG}(?:[ \t]*,[ \t,]*{TAG})*[ \t,]*")
# An entity tag of this API: the version of the stream, a point, and the position of the row's last
# event. A command compares the version only: what happens to an order's payment meanwhile makes no
# decision about the order stale.
STRONG = re.compile(r'(?<!W/)"([0-9]{1,10})(?:\.[0-9]{1,19})?"')

IDEMPOTENCY_KEY = "Idempotency-Key"
VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')

# Of JSON: the levels of nesting, and the whole numbers that every client can read exactly (RFC
# 7493, 2.2).
DEEPEST = 32
LARGEST = 2**53 - 1
# The invalid parts that an error names.
MOST_FAULTS = 100


class Negotiation(DefaultContentNegotiation):
    """A shortcut for views with one renderer: DRF's full negotiation is skipped when the client
    accepts it by name, accepts everything, or sends no Accept header."""

    def select_renderer(
        self, request: Request, renderers: Iterable[Any], format_suffix: str | None = None
    ) -> Any:
        renderers = list(renderers)
        [first, *others] = renderers
        accepted = request.headers.get("Accept", "*/*")
        if not others and accepted in ("*/*", first.media_type):
            return first, first.media_type
        refused = [
            each.partition(";")[0].strip() for each in accepted.split(",") if _is_refused(each)
        ]
        allowed = [each for each in renderers if each.media_type not in refused]
        return super().select_renderer(request, allowed, format_suffix)

    def get_accept_list(self, request: Request) -> list[str]:
        """DRF ignores weights."""
        return [each for each in super().get_accept_list(request) if not _is_refused(each)]


def _is_refused(media_range: str) -> bool:
    """Whether its weight is 0 (RFC 9110, 12.4.2)."""
    parameters = (each.strip() for each in media_range.split(";")[1:])
    return any(re.fullmatch(r"[qQ]=0(\.0{0,3})?", each) for each in parameters)


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
        detail = f"Expected a whole number of at most {digits} digits."
        raise Malformed(Fault(header, detail, "invalid", HEADER))
    return int(given)


def idempotency_key(request: Request) -> str | None:
    """The key without its quotes; None without the header. Raises Malformed.

    After draft-ietf-httpapi-idempotency-key-header. Quotes are optional: "a" and a are one key.
    A key with a comma needs them: servers and proxies join a header that is sent twice to a, b.
    """
    given = request.headers.get(IDEMPOTENCY_KEY)
    if given is None:
        return None
    given = given.strip(" \t")
    if given.startswith('"'):
        quoted = QUOTED.fullmatch(given)
        given = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    elif "," in given:
        problem = "Given more than once, or a key with a comma but without quotes."
        raise Malformed(Fault(IDEMPOTENCY_KEY, problem, "repeated", HEADER))
    if not VISIBLE.fullmatch(given):
        problem = "Expected 1 to 255 visible ASCII characters, quoted or unquoted."
        raise Malformed(Fault(IDEMPOTENCY_KEY, problem, "invalid", HEADER))
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
        detail = 'Expected * or a list of entity tags such as "17".'
        raise Malformed(Fault(header, detail, "invalid", HEADER))
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
        return parse(read_body(stream, parser_context))


def read_body(stream: IO[Any], parser_context: Mapping[str, Any] | None) -> bytes:
    """Raises UnsupportedMediaType, BodyTooLarge."""
    headers = parser_context["request"].headers if parser_context else {}
    if headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("", detail="Content-Encoding is not supported.")
    limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    body: bytes = stream.read(limit + 1)
    if len(body) > limit:
        raise BodyTooLarge(f"The request body is larger than {limit} bytes.")
    return body


def parse(body: bytes) -> Any:
    """The value of the JSON. Raises Malformed."""
    text = decode(body)
    try:
        tree = json.loads(text, object_pairs_hook=_object, parse_constant=_reject_constant)
    except RecursionError:
        raise Malformed(_too_deep("#")) from None
    except json.JSONDecodeError as error:
        raise _not_json(str(error)) from None
    except ValueError:  # from int()
        raise Malformed(Fault("#", "A number has too many digits.", "too_large")) from None
    if faults := _faults(tree, 1):
        raise Malformed(*(fault._replace(pointer=f"#{fault.pointer}") for fault in faults))
    return tree


def decode(body: bytes) -> str:
    """The text of the body. Raises Malformed."""
    if body.startswith(codecs.BOM_UTF8):
        raise _not_json("a byte order mark is not allowed")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not valid UTF-8") from None


def _not_json(reason: str) -> Malformed:
    return Malformed(Fault("#", f"Invalid JSON in UTF-8: {reason}", "not_json"))


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
    raise _not_json(f"{constant} is not a JSON number")


def _faults(value: Any, depth: int) -> tuple[Fault, ...]:
    """The faults within the value, their pointers relative to the value. Pointers are made on the
    way back only, as most bodies have no fault."""
    parts: Iterable[tuple[str | int, Any]]
    match value:
        case str():
            return _faults_of_text(value)
        case int() if abs(value) > LARGEST:
            return (Fault("", f"Larger than {LARGEST} (2^53 - 1).", "too_large"),)
        case dict() | list() if depth > DEEPEST:
            return (_too_deep(""),)
        case _ObjectWithDuplicates():
            pointer = inside("", value.repeated)
            return (Fault(pointer, "Duplicate member name.", "repeated"),)
        case dict():
            parts = value.items()
        case list():
            parts = enumerate(value)
        case _:
            return ()
    faults: tuple[Fault, ...] = ()
    for part, each in parts:
        if found := _faults(part, depth) or _faults(each, depth + 1):
            faults += tuple(
                fault._replace(pointer=inside("", part) + fault.pointer) for fault in found
            )
            if len(faults) >= MOST_FAULTS:
                break
    return faults


def _faults_of_text(text: str) -> tuple[Fault, ...]:
    if "\0" in text:
        return (Fault("", "Null characters are not allowed.", "null_characters_not_allowed"),)
    if not text.isascii() and any("\ud800" <= each <= "\udfff" for each in text):
        detail = "Lone surrogates are not allowed."
        return (Fault("", detail, "surrogate_characters_not_allowed"),)
    return ()


def _too_deep(pointer: str) -> Fault:
    return Fault(pointer, f"Nested deeper than {DEEPEST} levels.", "too_deep")
