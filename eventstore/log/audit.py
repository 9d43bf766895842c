"""What people do by hand, written down with who, when and why, in the transaction in which it is
done."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from eventstore.codec import encode_json
from eventstore.postgres import execute, rows

NOTE = """
    INSERT INTO eventstore_operator_action (who, action, subject, reason, details)
    VALUES (%s, %s, %s, %s, %s::jsonb)
"""

# Of the newest ones; who has done nothing for so long is found by what it was done to.
KNOWN = {
    column: f"""
        SELECT DISTINCT {column}
        FROM (SELECT {column} FROM eventstore_operator_action ORDER BY id DESC
            LIMIT 10000) AS newest
        ORDER BY {column}
    """
    for column in ("who", "action")
}


class ReasonMissing(ValueError):
    """What takes something away for good needs a reason."""


def record(
    who: str,
    action: str,
    subject: str,
    *,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    execute(NOTE, [who, action, subject, reason, encode_json(details or {}).decode()]).close()


def require_reason(reason: str) -> str:
    """The reason, without blanks around it. Raises ReasonMissing."""
    if not reason.strip():
        raise ReasonMissing("Say why: the reason is kept with what you do.")
    return reason.strip()


def known(column: str) -> list[str]:
    """Who has done something, or what has been done. column: who or action."""
    return [value for (value,) in rows(KNOWN[column])]


def done_between(
    found: QuerySet[Any], since: datetime | None, until: datetime | None
) -> QuerySet[Any]:
    if since is not None:
        found = found.filter(at__gte=since)
    return found if until is None else found.filter(at__lt=until)
