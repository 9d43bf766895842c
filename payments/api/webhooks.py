"""What Stripe tells without being asked: answers to our calls under their keys, and what moved
there without us."""

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec
from django.conf import settings

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.api.webhooks import Forged, WebhookView
from eventstore.messages import Command, Event, Message
from eventstore.subscriptions import NotYet
from payments.gateway import effect
from payments.gateway.port import RefundRefused
from payments.payment import PAYMENT

from . import outside

logger = logging.getLogger(__name__)


class Data(msgspec.Struct):
    """object: what the event is about, as it stands now."""

    object: Annotated[dict[str, Any], msgspec.Meta(min_length=1)]


class Notice(msgspec.Struct):
    """type: such as payment_intent.succeeded."""

    id: str
    type: str
    data: Data


class StripeWebhookView(WebhookView):
    source, notice = "stripe", Notice
    signed_by = {"Stripe-Signature": "When it was sent, and Stripe's signatures: t=…,v1=…"}

    def secrets(self) -> Sequence[str]:
        return list(settings.STRIPE_WEBHOOK_SECRETS)

    def verify(self, body: bytes, headers: Mapping[str, str], secret: str) -> None:
        # A large library, which no other process should wait for.
        import stripe

        try:
            stripe.WebhookSignature.verify_header(
                body, headers.get("Stripe-Signature"), secret, tolerance=300
            )
        except (stripe.SignatureVerificationError, ValueError, TypeError):
            raise Forged from None

    def read(self, body: bytes, headers: Mapping[str, str]) -> tuple[str, Sequence[Command]]:
        notice = self.decode(body)
        answers = [_answer(each) for each in _told_of(notice)]
        return notice.id, [answer for answer in answers if answer is not None]


def _told_of(notice: Notice) -> list[Mapping[str, Any]]:
    """The payment intents, refunds and disputes in it; of a charge, its refunds where they are
    given."""
    told = notice.data.object
    if told.get("object") == "charge":
        refunds = told.get("refunds")
        data = refunds.get("data") if isinstance(refunds, dict) else None
        return [each for each in data if isinstance(each, dict)] if isinstance(data, list) else []
    return [told] if told.get("object") in ("payment_intent", "refund", "dispute") else []


def _answer(told: Mapping[str, Any]) -> Command | None:
    """None for what is not ours, is not final yet, or does not fit what was asked: then the call
    itself finds out."""
    from payments.gateway import stripe

    key, order_id = stripe.ours(told)
    if told.get("object") == "dispute" or (told.get("object") == "refund" and not key):
        return outside.fact(told)
    asked = _asked(order_id, key)
    if asked is None:
        return None
    try:
        return effect.RECORD[type(asked)](asked, stripe.told(told, key, order_id, asked.amount))  # type: ignore[attr-defined]
    except NotYet:
        return None
    except (stripe.Unclear, RefundRefused) as error:
        logger.warning(
            "Stripe told of order %s what is not taken as an answer: %s", order_id, error
        )
        return None


def _asked(order_id: str, key: str) -> Event | None:
    """The event whose call this is about, by its key."""
    stream = stream_name(PAYMENT.category, order_id)
    if not log.STREAM_NAME.fullmatch(stream):
        return None
    found = (message.body for message in log.read_stream(stream) if _is_call(message, key))
    return next(found, None)


def _is_call(message: Message, key: str) -> bool:
    return type(message.body) in effect.RECORD and key in effect.GATEWAY.keys(message)
