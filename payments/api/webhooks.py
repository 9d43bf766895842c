"""Webhooks of Stripe: answers to our calls, and refunds and disputes that we did not request."""

import logging
import re
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from django.conf import settings

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.api.webhooks import Forged, WebhookView
from eventstore.messages import Command
from eventstore.subscriptions import NotYet
from payments.gateway import effect
from payments.gateway.port import RefundRefused
from payments.payment import PAYMENT

from . import outside

logger = logging.getLogger(__name__)

TOLERANCE_SECONDS = 300


class Data(msgspec.Struct):
    """object: the object of the event in its present state."""

    object: Annotated[dict[str, Any], msgspec.Meta(min_length=1)]


class Kind(msgspec.Struct):
    """What every event has. type: for example payment_intent.succeeded."""

    id: str
    type: str


class Notice(Kind):
    """An event about a payment, a refund or a dispute."""

    data: Data


# The beginnings of their types.
READ = ("payment_intent.", "charge.", "refund.")


class StripeWebhookView(WebhookView):
    """An event of Stripe about a payment, a refund or a dispute. Others are ignored."""

    source, notice = "stripe", Notice
    signed_by = {"Stripe-Signature": "When it was sent, and Stripe's signatures: t=…,v1=…"}

    def secrets(self) -> Sequence[str]:
        return list(settings.STRIPE_WEBHOOK_SECRETS)

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        # A large library: imported only where it is used.
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                body, headers.get("Stripe-Signature"), secret, tolerance=TOLERANCE_SECONDS
            )
        except (stripe.SignatureVerificationError, ValueError, TypeError):
            raise Forged from None
        # The library checks the past only.
        sent_at = re.search("(?:^|,)t=([0-9]{1,12})(?:,|$)", headers["Stripe-Signature"])
        if sent_at is None or int(sent_at[1]) > time.time() + TOLERANCE_SECONDS:
            raise Forged

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        kind = self.decode(body, Kind)
        if not kind.type.startswith(READ):
            logger.info("webhook of stripe ignored: %.100r", kind.type)
            return kind.id, []
        notice = self.decode(body)
        item: dict[str, Any] = notice.data.object
        objects = [item] if item.get("object") in ("payment_intent", "refund", "dispute") else []
        # A charge stands for its refunds, if the notice has them.
        match item:
            case {"object": "charge", "refunds": {"data": list(refunds)}}:
                objects = [each for each in refunds if isinstance(each, dict)]
        commands = [_command(each) for each in objects]
        return notice.id, [command for command in commands if command is not None]


def _command(item: Mapping[str, Any]) -> Command | None:
    """The command that records it. None for an object that is not ours, not final yet, or does not
    match its call: then the call itself gets the answer."""
    from payments.gateway import stripe

    key, order_id = stripe.ours(item)
    if item.get("object") == "dispute" or (item.get("object") == "refund" and not key):
        return outside.command(item)
    stream = stream_name(PAYMENT.category, order_id)
    if not log.STREAM_NAME.fullmatch(stream):
        return None
    # The event that made the call with this key.
    calls = (each for each in log.read_stream(stream) if type(each.body) in effect.RECORD)
    request = next((each.body for each in calls if key in effect.GATEWAY.keys(each)), None)
    if request is None:
        return None
    try:
        answer = stripe.answer_of(item, key, order_id, request.amount)
        return effect.RECORD[type(request)](request, answer)
    except NotYet:
        return None
    except (stripe.Unclear, RefundRefused) as error:
        logger.warning("webhook of stripe ignored for order %s: %s", order_id, error)
        return None
