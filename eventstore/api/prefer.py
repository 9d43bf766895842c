"""What a client would prefer (RFC 7240): never an error, and what is not known here is passed
over."""

import string
from collections.abc import Iterator, Mapping

from rest_framework.request import Request

MINIMAL, REPRESENTATION = "minimal", "representation"

# What is longer is passed over whole: its end might change what its beginning means.
LONGEST_HEADER = 1000
NAME = frozenset(string.ascii_letters + string.digits + "!#$%&'*+-.^_`|~")


def preferred(request: Request) -> Mapping[str, str]:
    """Each preference by its name in lower case; of one that is given twice, the first counts."""
    return parse(request.headers.get("Prefer", ""))


def parse(header: str) -> Mapping[str, str]:
    """Preference -> value, "" where it has none. A part that breaks the grammar is passed over,
    parameters always."""
    found: dict[str, str] = {}
    if len(header) > LONGEST_HEADER:
        return found
    for part in _split(header, ","):
        name, _, value = next(_split(part, ";")).partition("=")
        name, plain = name.strip(" \t"), _plain(value.strip(" \t"))
        if name and NAME.issuperset(name) and plain is not None:
            found.setdefault(name.lower(), plain)
    return found


def returned(request: Request) -> str:
    """How much the client would be sent of what has come of it; "" when it does not say."""
    given = preferred(request).get("return", "")
    return given if given in (MINIMAL, REPRESENTATION) else ""


def wait(request: Request) -> int | None:
    """Seconds that the client would wait for a better answer."""
    given = preferred(request).get("wait", "")
    return int(given) if given.isascii() and given.isdigit() and len(given) <= 6 else None


def _split(text: str, at: str) -> Iterator[str]:
    """Its parts, each character looked at once; within quotes nothing is cut."""
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


def _plain(value: str) -> str | None:
    """Without its quotes and escapes; None where they do not fit."""
    if not value.startswith('"'):
        return None if '"' in value or " " in value or "\t" in value else value
    plain, inner = list[str](), iter(value[1:])
    for each in inner:
        if each == '"':
            return None if next(inner, None) is not None else "".join(plain)
        plain.append(next(inner, "") if each == "\\" else each)
    return None
