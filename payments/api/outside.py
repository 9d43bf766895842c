"""What moves at Stripe without our asking: refunds from its dashboard, and disputes."""

import logging
from collections.abc import Mapping
from decimal import ROUND_UP, Decimal
from typing import Any

from rest_framework.exceptions import APIException

from eventstore import log
from eventstore.aggregate import stream_name
from eventstore.messages import Command
from eventstore.money import Money
from payments.commands import RecordDispute, RecordRefund
from payments.events import PaymentRequested
from payments.gateway import gateway
from payments.gateway.minor_units import exponent
from payments.payment import PAYMENT

logger = logging.getLogger(__name__)

# Of others nothing is held back: inquiries, and what prevented a dispute.
DISPUTES = {"needs_response": "", "under_review": "", "won": "won", "lost": "lost"}


class StripeSilent(APIException):
    """Whose order it is about can be known from Stripe alone, which sends the notice again."""

    status_code = 503
    default_detail = "Stripe does not tell which order this is about; send it again."
    wait = 60


def fact(told: Mapping[str, Any]) -> Command | None:
    """What a refund or dispute tells; None where nothing has moved, or it is not ours. Raises
    StripeSilent."""
    intent, reference, status = told.get("payment_intent"), told.get("id"), str(told.get("status"))
    is_final = status == "succeeded" if told.get("object") == "refund" else status in DISPUTES
    if not (is_final and isinstance(intent, str) and isinstance(reference, str)):
        return None
    order_id = _order_of(intent)
    paid = _paid(order_id)
    if paid is None:
        logger.warning(
            "Stripe tells of %.100r on %.100r, which is no order of ours", reference, intent
        )
        return None
    amount = _amount(told, paid)
    if told.get("object") == "refund":
        return RecordRefund(order_id, amount, reference, charge=intent)
    outcome = DISPUTES[status]
    return RecordDispute(
        order_id, amount, reference, str(told.get("reason")), outcome, charge=intent
    )


def _order_of(intent: str) -> str:
    from payments.gateway.stripe import CallRefused, StripeGateway

    provider = gateway()
    if not isinstance(provider, StripeGateway):
        return ""
    try:
        return provider.order_of(intent)
    except (ConnectionError, TimeoutError, CallRefused):
        raise StripeSilent from None


def _paid(order_id: str) -> Money | None:
    stream = stream_name(PAYMENT.category, order_id)
    if not order_id or not log.STREAM_NAME.fullmatch(stream):
        return None
    events = (message.body for message in log.read_stream(stream))
    return next((event.amount for event in events if isinstance(event, PaymentRequested)), None)


def _amount(told: Mapping[str, Any], paid: Money) -> int:
    """In our unit. What is told in another currency, or makes no sense, counts as all of it: a
    person will look."""
    amount, currency = told.get("amount"), str(told.get("currency")).upper()
    if type(amount) is not int or currency != paid.currency:
        return paid.amount
    ours = Decimal(amount).scaleb(paid.exponent - exponent(currency))
    return min(paid.amount, int(ours.to_integral_value(ROUND_UP)))
