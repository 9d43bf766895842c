"""The Idempotency-Key of a command: read, scoped to who asks for what, and answered again.

After draft-ietf-httpapi-idempotency-key-header: the key may be a quoted string or stand bare, and
means the same.
"""

import hashlib
import json
import re
import time
from typing import Any
from uuid import UUID

from rest_framework.request import Request
from uuid_utils.compat import uuid7

from eventstore import settings
from eventstore.commands.idempotency import IdempotencyKey, StoredResponse
from eventstore.messages import replace

from .errors import Fault, Malformed

HEADER = "Idempotency-Key"

A_DAY = 24 * 60 * 60.0

VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
QUOTED = re.compile(r'"((?:[^"\\]|\\["\\])*)"')


def key(request: Request) -> IdempotencyKey | None:
    """None when the client gives none and need not."""
    given = request.headers.get(HEADER)
    if given is None:
        if settings.idempotency_key_required():
            raise Malformed(Fault(HEADER, "Every command needs a key of its own here.", "required"))
        return None
    scope = f"{request.user.pk} {request.method} {request.path} {_bare(given)}"
    return IdempotencyKey(scope, fingerprint(request.data))


def fingerprint(body: Any) -> str:
    """The same for bodies that differ in the order of members or in white space alone; 1 is not
    1.0."""
    return hashlib.sha256(
        json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def new_id(key: IdempotencyKey | None) -> str:
    """For what a request begins. Of a request with a key always the same: if it is repeated because
    the log has lost it, nothing that was done outside on its account is done again.

    A key that is a UUID of version 7 gives it its time, by which ids are in order; of others it has
    none.
    """
    if key is None:
        return str(uuid7())
    digest = hashlib.sha256(f"{key.scope} {key.fingerprint}".encode()).digest()
    made = int.from_bytes(digest[:16], "big")
    at = _time_of(key.scope.rpartition(" ")[2])
    if at is not None:
        made = at << 80 | made & ((1 << 80) - 1)
    version = 8 if at is None else 7
    return str(UUID(int=made & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | 0b10 << 62))


def _time_of(given: str) -> int | None:
    """In milliseconds since 1970, of a UUID of version 7 that is no older than answers are kept,
    nor of tomorrow."""
    try:
        named = UUID(given)
    except ValueError:
        return None
    at, now = named.int >> 80, time.time()
    is_of_late = now - settings.response_retention().total_seconds() < at / 1000 < now + A_DAY
    return at if named.version == 7 and is_of_late else None


def replayed(answer: StoredResponse) -> StoredResponse:
    return replace(answer, headers=answer.headers | {"Idempotent-Replayed": "true"})


def _bare(given: str) -> str:
    given = given.strip(" \t")
    if given.startswith('"'):
        quoted = QUOTED.fullmatch(given)
        given = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else ""
    if not VISIBLE.fullmatch(given):
        raise Malformed(
            Fault(HEADER, "A key is 1 to 255 visible ASCII characters, quoted or bare.", "invalid")
        )
    return given
