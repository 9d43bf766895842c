"""Documents that are made once in a process and sent to anybody: compressed, and not again to a
client that has them."""

import gzip
import hashlib
import json
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any, NamedTuple

from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from rest_framework.request import Request

from eventstore.api.errors import Malformed
from eventstore.api.requests import if_none_match

# Also for shared caches. A new release is seen within five minutes.
CACHE_CONTROL = "public, max-age=300"


class Encoding(NamedTuple):
    """name: the value of Content-Encoding; empty for none. Each encoding has a tag of its own (RFC
    9110, 8.8.3.3)."""

    name: str
    body: bytes
    tag: str


class CachedDocument:
    """make: the document. It takes a second, so the first request of a process makes it and others
    wait for it."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        self._make, self._lock = make, Lock()
        self._encodings: dict[str, Encoding] = {}

    def response(self, request: HttpRequest) -> HttpResponse:
        accepts_gzip = _accepts_gzip(request.headers.get("Accept-Encoding", ""))
        found = self._encoded()["gzip" if accepts_gzip else ""]
        headers = {"ETag": found.tag, "Cache-Control": CACHE_CONTROL, "Vary": "Accept-Encoding"}
        if _has(request, found.tag):
            return HttpResponseNotModified(headers=headers)
        if found.name:
            headers["Content-Encoding"] = found.name
        return HttpResponse(found.body, content_type="application/json", headers=headers)

    def _encoded(self) -> Mapping[str, Encoding]:
        with self._lock:
            if not self._encodings:
                body = json.dumps(self._make(), ensure_ascii=False, separators=(",", ":")).encode()
                digest = hashlib.sha256(body).hexdigest()[:32]
                self._encodings = {
                    "": Encoding("", body, f'"{digest}"'),
                    "gzip": Encoding("gzip", gzip.compress(body, mtime=0), f'"{digest}.gzip"'),
                }
            return self._encodings


def _has(request: HttpRequest, tag: str) -> bool:
    try:
        return tag in if_none_match(Request(request))
    except Malformed:
        return False


def _accepts_gzip(accepted: str) -> bool:
    """Whether the client named it with a weight above 0 (RFC 9110, 12.5.3)."""
    for each in accepted.lower().split(","):
        coding, *parameters = (part.strip() for part in each.split(";"))
        if coding in ("gzip", "x-gzip", "*"):
            weights = [part[2:] for part in parameters if part.startswith("q=")]
            return not weights or weights[0].strip("0.") != ""
    return False
