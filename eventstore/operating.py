"""What people do by hand, written down with who, when and why, in the transaction in which it is done."""

from collections.abc import Mapping
from typing import Any

from .codec import encode_json
from .postgres import execute

NOTE = """
    INSERT INTO eventstore_operator_action (who, action, subject, reason, details)
    VALUES (%s, %s, %s, %s, %s::jsonb)
"""


class ReasonMissing(ValueError):
    """What takes something away for good needs a reason."""


def note(who: str, action: str, subject: str, *, reason: str = "", details: Mapping[str, Any] | None = None) -> None:
    execute(NOTE, [who, action, subject, reason, encode_json(details or {}).decode()]).close()


def demand(reason: str) -> str:
    """The reason, without blanks around it. Raises ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing("Say why: the reason is kept with what you do.")
    return reason.strip()
