"""What a client would prefer (RFC 7240): never an error, and what is not known here is passed over."""

import re
from collections.abc import Mapping

from rest_framework.request import Request

# Quoted values may hold commas and semicolons; parameters of a preference are read and not used.
PREFERENCE = re.compile(
    r"""\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s",;]*))?\s*(?:;(?:[^",]|"(?:[^"\\]|\\.)*")*)?(?:,|$)"""
)

MINIMAL, REPRESENTATION = "minimal", "representation"


def preferred(request: Request) -> Mapping[str, str]:
    """Each preference by its name in lower case; of one that is given twice, the first counts."""
    found: dict[str, str] = {}
    for name, value in PREFERENCE.findall(request.headers.get("Prefer", "")[:1000]):
        found.setdefault(name.lower(), value.strip('"'))
    return found


def returned(request: Request) -> str:
    """How much the client would be sent of what has come of it; "" when it does not say."""
    given = preferred(request).get("return", "")
    return given if given in (MINIMAL, REPRESENTATION) else ""


def wait(request: Request) -> int | None:
    """Seconds that the client would wait for a better answer."""
    given = preferred(request).get("wait", "")
    return int(given) if re.fullmatch("[0-9]{1,6}", given) else None
