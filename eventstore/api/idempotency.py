"""What follows from an idempotency key: the scope and the fingerprint of a request, and ids that
are the same in each repeat."""

import hashlib
import json
import time
from typing import Any
from uuid import UUID

from rest_framework.request import Request

from eventstore import settings
from eventstore.commands.idempotency import IdempotencyKey

A_DAY = 24 * 60 * 60.0


def scoped(key: str, request: Request) -> IdempotencyKey:
    """The client's key within its user, method and path."""
    scope = f"{request.user.pk} {request.method} {request.path} {key}"
    return IdempotencyKey(scope, fingerprint(request.data))


def fingerprint(body: Any) -> str:
    """The same for bodies that differ only in the order of members or in white space. 1 and 1.0
    differ."""
    return hashlib.sha256(
        json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()


def new_id(key: IdempotencyKey) -> str:
    """An id for what the request creates, the same for each repeat. If the log loses the request
    and the client repeats it, external calls made under this id are not made twice.

    If the key is a UUID of version 7, the id is one too, with the key's time, so that ids sort by
    time. Otherwise it is a UUID of version 8.
    """
    digest = hashlib.sha256(f"{key.scope} {key.fingerprint}".encode()).digest()
    made = int.from_bytes(digest[:16], "big")
    at = _time_of(key.scope.rpartition(" ")[2])
    if at is not None:
        made = at << 80 | made & ((1 << 80) - 1)
    version = 8 if at is None else 7
    return str(UUID(int=made & ~(0xF << 76) & ~(0x3 << 62) | version << 76 | 0b10 << 62))


def _time_of(key: str) -> int | None:
    """The time of a UUID of version 7 in milliseconds since 1970. None for another key, and for a
    time older than responses are stored or more than a day ahead."""
    try:
        named = UUID(key)
    except ValueError:
        return None
    at, now = named.int >> 80, time.time()
    is_recent = now - settings.response_retention().total_seconds() < at / 1000 < now + A_DAY
    return at if named.version == 7 and is_recent else None
