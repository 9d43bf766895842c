"""The Idempotency-Key of a command: read, scoped to who asks for what, and answered again.

After draft-ietf-httpapi-idempotency-key-header: the key may be a quoted string or stand bare, and means the same.
"""

import hashlib
import json
import re
from typing import Any

from rest_framework.request import Request

from eventstore import settings
from eventstore.answers import Answer, Key
from eventstore.messages import replace

from .faults import Fault, Malformed

HEADER = "Idempotency-Key"

VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


def key(request: Request) -> Key | None:
    """None when the client gives none and need not."""
    given = request.headers.get(HEADER)
    if given is None:
        if settings.idempotency_key_required():
            raise Malformed(Fault(HEADER, "Every command needs a key of its own here.", "required"))
        return None
    scope = f"{request.user.pk} {request.method} {request.path} {_bare(given)}"
    return Key(scope, fingerprint(request.data))


def fingerprint(body: Any) -> str:
    """The same for bodies that differ in the order of members or in white space alone; 1 is not 1.0."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def replayed(answer: Answer) -> Answer:
    return replace(answer, headers=answer.headers | {"Idempotent-Replayed": "true"})


def _bare(given: str) -> str:
    given = given.strip(" \t")
    if given.startswith('"'):
        quoted = QUOTED.fullmatch(given)
        given = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not VISIBLE.fullmatch(given):
        raise Malformed(Fault(HEADER, "A key is 1 to 255 visible ASCII characters, quoted or bare.", "invalid"))
    return given
