"""Personal data in the API: hidden from whom it is not about, until they say why they have to see
it.

As in the console: it takes the right to reveal, one thing at a time, and who asked and why is
written down first.
"""

import re

from django.core.exceptions import PermissionDenied
from django.db import models
from rest_framework.request import Request

from eventstore import registry
from eventstore.privacy import personal_data

from .errors import Fault, Malformed

HEADER = "X-Reveal-Reason"
RIGHT = "eventstore.reveal"
# As a header is sent everywhere; not blank.
REASON = r"[!-~][ -~]{0,254}"

# Kept nowhere on the way.
UNKEPT = {"Cache-Control": "private, no-store"}


def holds(model: type[models.Model]) -> bool:
    """Whether a row has anything personal."""
    return bool(registry.personal().get(model))


def is_revealed(request: Request, subject: str) -> bool:
    """Whether the user has said why, and may; then it is recorded. Raises PermissionDenied,
    Malformed."""
    reason = request.headers.get(HEADER)
    if reason is None:
        return False
    if not request.user.has_perm(RIGHT):
        raise PermissionDenied
    if not re.fullmatch(REASON, reason):
        raise Malformed(
            Fault(HEADER, "Say why, in 1 to 255 ASCII characters: the reason is kept.", "invalid")
        )
    personal_data.reveal(
        request.user.get_username(),
        subject,
        reason=reason,
        details={"page": request.get_full_path()},
    )
    return True


def refuse_for_lists(request: Request) -> None:
    """Raises Malformed."""
    if HEADER in request.headers:
        raise Malformed(
            Fault(HEADER, "One thing is revealed at a time: ask for that one.", "not_here")
        )


def hide(row: models.Model) -> None:
    """What of the row is personal; nobody saves the row."""
    for name in registry.personal().get(type(row), ()):
        setattr(row, name, personal_data.hide_within(getattr(row, name)))
