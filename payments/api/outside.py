"""Money that moves at Stripe without our request: refunds from its dashboard, and disputes."""

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

# status of a dispute: outcome. Other statuses (inquiries, prevented disputes) withhold no money.
DISPUTES = {"needs_response": "", "under_review": "", "won": "won", "lost": "lost"}


class StripeSilent(APIException):
    """Only Stripe knows the order of this notice, and does not answer. It sends the notice
    again."""

    status_code = 503
    default_detail = "Stripe did not answer which order this is about. Send the notice again."
    wait = 60


def command(item: Mapping[str, Any]) -> Command | None:
    """The command that records a refund or a dispute. None where no money has moved, or the order
    is not ours. Raises StripeSilent."""
    intent, reference, status = item.get("payment_intent"), item.get("id"), str(item.get("status"))
    is_final = status == "succeeded" if item.get("object") == "refund" else status in DISPUTES
    if not (is_final and isinstance(intent, str) and isinstance(reference, str)):
        return None
    order_id = _order_of(intent)
    if (paid := _paid(order_id)) is None:
        logger.warning("stripe: %.100r of %.100r belongs to no order", reference, intent)
        return None
    amount = _amount(item, paid)
    if item.get("object") == "refund":
        return RecordRefund(order_id, amount, reference, charge=intent)
    reason, outcome = str(item.get("reason")), DISPUTES[status]
    return RecordDispute(order_id, amount, reference, reason, outcome, charge=intent)


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


def _amount(item: Mapping[str, Any], paid: Money) -> int:
    """In our unit. An amount in another currency, or an invalid one, counts as the whole payment:
    an operator is alerted anyway."""
    amount, currency = item.get("amount"), str(item.get("currency")).upper()
    if type(amount) is not int or currency != paid.currency:
        return paid.amount
    ours = Decimal(amount).scaleb(paid.exponent - exponent(currency))
    return min(paid.amount, int(ours.to_integral_value(ROUND_UP)))
