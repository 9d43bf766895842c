"""Conditional requests (RFC 9110): the version that a client has seen of what it asks for, or wants
changed."""

import re
from collections.abc import Container
from typing import Any

from rest_framework.request import Request

from .errors import Fault, Malformed
from .serializers import LARGEST_NUMBER

Versions = Container[int]

TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
TAGS = re.compile(rf"{TAG}(?:[ \t]*,[ \t]*{TAG})*")
# Ours: the version of the stream, and behind a point the position of the last event in the row,
# which a command passes over: what happens to an order's payment meanwhile makes nobody's decision
# about the order stale.
STRONG = re.compile(r'(?<!W/)"([0-9]{1,10})(?:\.[0-9]{1,19})?"')


class _Every:
    def __contains__(self, tag: object) -> bool:
        return True


EVERY = _Every()


def etag(row: Any) -> str:
    return f'"{row.version}.{row.position}"'


def if_match(request: Request) -> Versions | None:
    """The versions on which the client decided; a weak tag, or one that we never gave, is none of
    them."""
    given = request.headers.get("If-Match")
    if given is None:
        return None
    if given.strip() == "*":
        return range(1, LARGEST_NUMBER + 1)
    return frozenset(int(version) for version in STRONG.findall(_tags("If-Match", given)))


def if_none_match(request: Request) -> Container[str]:
    """The tags of what the client has already, without what makes one weak: a 304 only saves
    bytes."""
    given = request.headers.get("If-None-Match")
    if given is None:
        return ()
    return EVERY if given.strip() == "*" else re.findall(r'"[^"]*"', _tags("If-None-Match", given))


def _tags(header: str, given: str) -> str:
    given = given.strip(" \t")
    if not TAGS.fullmatch(given):
        raise Malformed(
            Fault(header, 'This is neither * nor a list of entity tags such as "17".', "invalid")
        )
    return given
