"""Personal data in the API: hidden from everyone it is not about, unless staff give a reason
(X-Reveal-Reason).

As in the console, this needs the permission to reveal, works for one object at a time, and is
recorded with its reason before anything is shown.
"""

import re

from django.core.exceptions import PermissionDenied
from django.db import models
from rest_framework.request import Request

from eventstore import registry
from eventstore.privacy import personal_data

from . import errors
from .errors import Fault, Malformed

HEADER = "X-Reveal-Reason"
RIGHT = "eventstore.reveal"
# ASCII, as every HTTP library can send it; not blank.
REASON = r"[!-~][ -~]{0,254}"

# No cache may store a response with revealed data.
UNKEPT = {"Cache-Control": "private, no-store"}


def holds(model: type[models.Model]) -> bool:
    """Whether the model has personal fields."""
    return bool(registry.personal().get(model))


def reason_of(request: Request) -> str | None:
    """None without the header. Raises Malformed."""
    reason = request.headers.get(HEADER)
    if reason is not None and not re.fullmatch(REASON, reason):
        detail = "A reason of 1 to 255 ASCII characters is required."
        raise Malformed(Fault(HEADER, detail, "invalid", errors.HEADER))
    return reason


def is_revealed(request: Request, subject: str, reason: str | None) -> bool:
    """Whether a reason is given and the user may reveal; then it is recorded. Raises
    PermissionDenied."""
    if reason is None:
        return False
    user = request.user
    if not user.has_perm(RIGHT):
        raise PermissionDenied
    details = {"page": request.get_full_path()}
    personal_data.reveal(user.get_username(), subject, reason=reason, details=details)
    return True


def refuse_for_lists(request: Request) -> None:
    """Raises Malformed."""
    if HEADER in request.headers:
        raise Malformed(
            Fault(
                HEADER,
                "Lists cannot be revealed. Query one object instead.",
                "not_here",
                errors.HEADER,
            )
        )


def hide(row: models.Model) -> None:
    """Mask the row's personal fields in memory. The row must not be saved afterwards."""
    for name in registry.personal().get(type(row), ()):
        setattr(row, name, personal_data.hide_within(getattr(row, name)))
