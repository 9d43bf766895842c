"""The audit log of operators' actions: who, when and why, recorded in the transaction of the
action."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import QuerySet

from eventstore.codec import encode_json
from eventstore.postgres import execute, rows

RECORD = """
    INSERT INTO eventstore_operator_action (who, action, subject, reason, details)
    VALUES (%s, %s, %s, %s, %s::jsonb)
"""

# From the newest actions only, so that a large table stays fast. Older ones are found by their
# subject.
KNOWN = {
    column: f"""
        SELECT DISTINCT {column}
        FROM (SELECT {column} FROM eventstore_operator_action ORDER BY id DESC
            LIMIT 10000) AS newest
        ORDER BY {column}
    """
    for column in ("who", "action")
}


LONGEST_REASON = 2000
LAST_OF = """
    SELECT id FROM eventstore_operator_action WHERE subject = %s ORDER BY id DESC LIMIT 1
"""
# Blank, although Unicode counts them among letters and symbols.
BLANK = {"\u115f", "\u1160", "\u2800", "\u3164", "\uffa0"}


class ReasonMissing(ValueError):
    """An action that cannot be undone needs a reason that can be read and recorded."""


def record(
    who: str,
    action: str,
    subject: str,
    *,
    reason: str = "",
    details: Mapping[str, Any] | None = None,
) -> None:
    execute(RECORD, [who, action, subject, reason, encode_json(details or {}).decode()]).close()


def require_reason(reason: str) -> str:
    """The reason without invisible characters, stripped. Raises ReasonMissing."""
    visible = "".join(
        each
        for each in reason
        if each == "\n" or (unicodedata.category(each)[0] != "C" and each not in BLANK)
    ).strip()
    if not visible:
        raise ReasonMissing("A reason is required; it is recorded with the action.")
    if len(visible) > LONGEST_REASON:
        raise ReasonMissing(
            f"The reason has {len(visible)} characters; at most {LONGEST_REASON} are recorded."
        )
    return visible


def last_of(subject: str) -> int:
    """The id of the last action on this subject; 0 without one."""
    return next((int(id_) for (id_,) in rows(LAST_OF, [subject])), 0)


def known(column: str) -> list[str]:
    """The values of a column, for a filter. column: who or action."""
    return [value for (value,) in rows(KNOWN[column])]


def done_between(
    found: QuerySet[Any], since: datetime | None, until: datetime | None
) -> QuerySet[Any]:
    if since is not None:
        found = found.filter(at__gte=since)
    return found if until is None else found.filter(at__lt=until)
