"""The request headers that the API reads: Accept, Prefer (RFC 7240), If-Match and If-None-Match
(RFC 9110), Idempotency-Key, and the headers of read-your-writes."""

import re
import string
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.request import Request

from .errors import Fault, LengthRequired, Malformed

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

    After draft-ietf-httpapi-idempotency-key-header. The quotes are optional: "a" and a are the same
    key.
    """
    given = request.headers.get(IDEMPOTENCY_KEY)
    if given is None:
        return None
    given = given.strip(" \t")
    if given.startswith('"'):
        quoted = QUOTED.fullmatch(given)
        given = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not VISIBLE.fullmatch(given):
        raise Malformed(
            Fault(
                IDEMPOTENCY_KEY,
                "Expected 1 to 255 visible ASCII characters, quoted or unquoted.",
                "invalid",
            )
        )
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
