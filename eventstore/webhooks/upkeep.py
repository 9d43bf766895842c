"""Chores: mails to the owners of endpoints that were disabled, endpoints of lost accounts, old
deliveries."""

import logging
from smtplib import SMTPException, SMTPRecipientsRefused

from django.core.mail import send_mail

from . import deliveries, endpoints
from .endpoints import GONE

logger = logging.getLogger(__name__)

MAILS = 20

SUBJECT = "Your webhook endpoint was disabled"
BODY = """\
The webhook endpoint {id}
{url}
was disabled at {at:%Y-%m-%d %H:%M} UTC: {why}.

Its last error: {error}

Events since then are not sent to it. Enable it again when it is repaired:
POST /api/commands/webhooks/{id}/enable/
"""
WHY = {GONE: "it answered 410 Gone"}
ONLY_FAILED = "all attempts have failed for days"


def tend() -> None:
    """All chores."""
    endpoints.disable_without_account()
    tell_owners()
    deliveries.give_up_overdue()
    deliveries.forget()


def tell_owners() -> int:
    """Send a mail for each endpoint that was disabled for its failures, once; an owner without an
    address gets none. A mail that fails is tried again by the next run. Returns how many were
    sent."""
    untold = endpoints.untold(MAILS)
    receivers = endpoints.receivers({each.owner for each in untold})
    sent = 0
    for each in untold:
        receiver = receivers.get(each.owner)
        address = receiver.email if receiver else ""
        text = BODY.format(
            id=each.id,
            url=each.url,
            at=each.at,
            why=WHY.get(each.reason, ONLY_FAILED),
            error=each.error or "none",
        )
        try:
            # Before it is noted: killed in between, the mail is sent twice rather than never.
            sent += send_mail(SUBJECT, text, None, [address]) if address else 0
        except SMTPRecipientsRefused:
            logger.warning("webhook endpoint %s: its owner's address takes no mail", each.id)
        except (OSError, SMTPException) as error:
            logger.warning("the mail about webhook endpoint %s was not sent: %s", each.id, error)
            continue
        endpoints.note_told(each.id)
    return sent
