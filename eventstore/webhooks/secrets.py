"""The secrets of endpoints, and the signatures made with them (standardwebhooks.com).

A secret is derived from one of the keys of the settings and from a random salt that is stored with
the endpoint. The database holds no secret, so neither does a dump of it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from eventstore import settings

PREFIX = "whsec_"
# So that no other use of the same key gives the same bytes.
PURPOSE = b"eventstore webhook secret 1\0"


class KeyMissing(LookupError):
    """The key from which a secret was derived is no longer in the settings."""


class Salt(NamedTuple):
    """What is stored of a secret. key_id: which key of the settings it is derived from."""

    salt: str
    key_id: str


def new_salt() -> Salt:
    return Salt(secrets.token_hex(16), key_id(settings.webhook_keys()[0]))


def key_id(key: str) -> str:
    """Names a key without telling it."""
    return hashlib.sha256(PURPOSE + b"id\0" + key.encode()).hexdigest()[:16]


def secret(stored: Salt) -> str:
    """As the receiver gets it: whsec_ and base64 of 32 bytes. Raises KeyMissing."""
    for key in settings.webhook_keys():
        if key_id(key) == stored.key_id:
            made = hmac.digest(key.encode(), PURPOSE + stored.salt.encode(), "sha256")
            return PREFIX + base64.b64encode(made).decode()
    raise KeyMissing(
        f"No key of the settings has the id {stored.key_id}. Add the former key to WEBHOOK_KEYS, or"
        " rotate the secret of the endpoint."
    )


def sign(secret_: str, message_id: str, timestamp: int, body: str) -> str:
    """As Standard Webhooks: version 1, symmetric."""
    key = base64.b64decode(secret_.removeprefix(PREFIX))
    signed = f"{message_id}.{timestamp}.{body}".encode()
    return f"v1,{base64.b64encode(hmac.digest(key, signed, 'sha256')).decode()}"


def headers(message_id: str, body: str, at: datetime, salts: Sequence[Salt]) -> Mapping[str, str]:
    """The headers of one request: a signature for each valid secret. Raises KeyMissing."""
    timestamp = int(at.timestamp())
    signatures = [sign(secret(each), message_id, timestamp, body) for each in salts]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }
