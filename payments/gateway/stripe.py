"""Stripe, through its official library: payment intents and refunds, each under our key.

Our key is sent as the idempotency key, which Stripe forgets after a day, and in the metadata, where
a lookup finds it later. The transfer group is the order's id: the list of charges by transfer group
is current, whereas Stripe's search lags by a minute.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import stripe

from eventstore.money import Money
from eventstore.subscriptions import NotYet
from payments.gateway.http_client import BoundedClient
from payments.gateway.minor_units import NotChargeable, exponent, smallest_unit

from .port import Charged, Declined, MoneyMoved, Refunded, RefundRefused

# Final errors of the card or the amount. All other errors are for us to mend.
FINAL = (
    "amount_too_large",
    "amount_too_small",
    "payment_method_unactivated",
    "resource_missing",
    "token_already_used",
)
# Final errors of a refund: too little is left, or the charge is too old, disputed, or of a method
# without refunds.
REFUND_REFUSED = (
    "charge_already_refunded",
    "amount_too_large",
    "charge_not_refundable",
    "refund_disputed_payment",
)


class Unclear(ConnectionError):
    """An unusable answer. Whether money moved is unknown, as without an answer."""


class CallRefused(Exception):
    """Stripe rejects the call itself: our account, key or code has to be mended."""


class StripeGateway:
    """seconds: how long a call may take. The library's retries are off: the engine retries."""

    def __init__(self, *, secret_key: str, base_url: str, seconds: float) -> None:
        client = stripe.StripeClient(
            secret_key,
            base_addresses={"api": base_url},
            http_client=BoundedClient(seconds=seconds),
            max_network_retries=0,
        )
        self.api = client.v1

    def charge(self, *, key: str, order_id: str, amount: Money, method: str) -> Charged | Declined:
        try:
            units = smallest_unit(amount)
        except NotChargeable as error:
            return Declined(str(error))
        # A card by its token, or a payment method by its id.
        is_card = method.startswith("tok_")
        card = {"payment_method_data": {"type": "card", "card": {"token": method}}}
        params: Any = {
            "amount": units,
            "currency": amount.currency.lower(),
            "confirm": True,
            "error_on_requires_action": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "transfer_group": order_id,
            "metadata": {"key": key, "order_id": order_id},
            **(card if is_card else {"payment_method": method}),
        }
        try:
            intent = _call(self.api.payment_intents.create, params, {"idempotency_key": key})
        except stripe.CardError as error:
            code = getattr(error.error, "decline_code", None) or error.code
            return Declined(str(code or "declined"))
        except stripe.InvalidRequestError as error:
            if error.code in FINAL:
                return Declined(error.code)
            raise _refusal(error) from None
        return _outcome(intent, key, order_id, units, amount.currency)

    def find_charge(self, *, key: str, order_id: str, amount: Money) -> Charged | Declined | None:
        for charge in self._charges(order_id):
            if _metadata(charge).get("key") == key:
                intent = _request(
                    self.api.payment_intents.retrieve, _text(charge, "payment_intent")
                )
                return _outcome(intent, key, order_id, smallest_unit(amount), amount.currency)
        return None

    def refund(self, *, key: str, order_id: str, amount: Money) -> Refunded:
        charges = [charge for charge in self._charges(order_id) if charge.get("status") != "failed"]
        if not charges:
            return Refunded(0, "nothing-taken")
        if charges[0].get("status") == "pending":
            raise NotYet("The charge is pending; it cannot be refunded yet.")
        try:
            units = smallest_unit(amount)
        except NotChargeable as error:
            raise RefundRefused(str(error)) from None
        params: Any = {
            "payment_intent": _text(charges[0], "payment_intent"),
            "amount": units,
            "metadata": {"key": key, "order_id": order_id},
        }
        try:
            refund = _call(self.api.refunds.create, params, {"idempotency_key": key})
        except stripe.InvalidRequestError as error:
            if error.code in REFUND_REFUSED:
                raise RefundRefused(f"Stripe refuses to refund {amount}: {error.code}.") from None
            raise _refusal(error) from None
        return _refunded(refund, key, units, amount)

    def find_refund(self, *, key: str, order_id: str, amount: Money) -> Refunded | None:
        for charge in self._charges(order_id):
            for refund in self._refunds(charge):
                if _metadata(refund).get("key") == key:
                    return _refunded(refund, key, smallest_unit(amount), amount)
        return None

    def moved(self, *, order_id: str, currency: str) -> MoneyMoved:
        charges = _succeeded(self._charges(order_id), currency)
        refunds = [
            each for charge in charges for each in _succeeded(self._refunds(charge), currency)
        ]
        return MoneyMoved(_sum(charges, currency), _sum(refunds, currency))

    def order_of(self, payment_intent: str) -> str:
        """The order's id, empty if the intent is not ours. Refunds and disputes that we did not
        request name only their payment intent."""
        return ours(_request(self.api.payment_intents.retrieve, payment_intent))[1]

    def charged(self, *, since: datetime) -> Iterator[tuple[str, str]]:
        after: dict[str, Any] = {}
        while True:
            page = _request(
                self.api.charges.list,
                {"created": {"gte": int(since.timestamp())}, "limit": 100, **after},
            )
            charges = _items(page)
            for charge in charges:
                key, order_id = ours(charge)
                if key and order_id and charge.get("status") == "succeeded":
                    yield order_id, _text(charge, "currency").upper()
            if not charges or not page.get("has_more"):
                return
            after = {"starting_after": _text(charges[-1], "id")}

    def _refunds(self, charge: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        params = {"payment_intent": _text(charge, "payment_intent"), "limit": 100}
        return _items(_request(self.api.refunds.list, params))

    def _charges(self, order_id: str) -> list[Mapping[str, Any]]:
        page = _request(self.api.charges.list, {"transfer_group": order_id, "limit": 100})
        return [charge for charge in _items(page) if _metadata(charge).get("order_id") == order_id]


def ours(item: Mapping[str, Any]) -> tuple[str, str]:
    """(key, order id) of the metadata; empty for an object that is not ours."""
    metadata = _metadata(item)
    return str(metadata.get("key", "")), str(metadata.get("order_id", ""))


def answer_of(
    item: Mapping[str, Any], key: str, order_id: str, amount: Money
) -> Charged | Declined | Refunded:
    """The answer that a payment intent or a refund gives to the call with that key. Raises NotYet,
    Unclear, RefundRefused."""
    if item.get("object") == "refund":
        return _refunded(item, key, smallest_unit(amount), amount)
    return _outcome(item, key, order_id, smallest_unit(amount), amount.currency)


def _request(call: Callable[..., Any], *args: Any) -> Mapping[str, Any]:
    try:
        return _call(call, *args)
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        raise _refusal(error) from None


def _call(call: Callable[..., Any], *args: Any) -> Mapping[str, Any]:
    """The answer as plain data. CardError and InvalidRequestError pass through.

    All other errors become ours without the library's details (bodies, headers), which may hold
    anything. Raises CallRefused, TimeoutError, Unclear.
    """
    try:
        return dict(call(*args).to_dict())
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except (stripe.AuthenticationError, stripe.PermissionError, stripe.IdempotencyError) as error:
        raise _refusal(error) from None
    except stripe.APIConnectionError as error:
        raise TimeoutError(str(error.user_message)) from None
    except stripe.StripeError as error:
        raise Unclear(f"Stripe answered {error.http_status}: {type(error).__name__}.") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unclear(
            f"Stripe's answer has a form that its library does not know: {type(error).__name__}."
        ) from None


def _refusal(error: stripe.StripeError) -> CallRefused:
    return CallRefused(
        f"Stripe rejected the call: {type(error).__name__} {error.http_status}"
        f" {error.code or ''}".rstrip()
    )


def _outcome(
    intent: Mapping[str, Any], key: str, order_id: str, units: int, currency: str
) -> Charged | Declined:
    _compare(intent, {"amount": units, "currency": currency.lower()})
    _compare(_metadata(intent), {"key": key, "order_id": order_id})
    match intent.get("status"):
        case "succeeded":
            _compare(intent, {"amount_received": units})
            return Charged(_text(intent, "id"))
        case "processing":
            raise NotYet("The payment is processing.")
        case "requires_payment_method" | "canceled":
            error = intent.get("last_payment_error")
            error = error if isinstance(error, Mapping) else {}
            return Declined(str(error.get("decline_code") or error.get("code") or intent["status"]))
    raise Unclear(f"Stripe's payment intent has the status {intent.get('status')!r}.")


def _refunded(refund: Mapping[str, Any], key: str, units: int, amount: Money) -> Refunded:
    _compare(refund, {"amount": units, "currency": amount.currency.lower()})
    _compare(_metadata(refund), {"key": key})
    match refund.get("status"):
        case "succeeded":
            return Refunded(amount.amount, _text(refund, "id"))
        case "pending" | "requires_action":
            raise NotYet("The refund is pending.")
        case "failed" | "canceled":
            raise RefundRefused(
                f"Stripe failed to refund {amount}: {refund.get('failure_reason')}."
            )
    raise Unclear(f"Stripe's refund has the status {refund.get('status')!r}.")


def _succeeded(items: Iterable[Mapping[str, Any]], currency: str) -> list[Mapping[str, Any]]:
    return [
        each
        for each in items
        if each.get("status") == "succeeded" and each.get("currency") == currency.lower()
    ]


def _sum(items: Iterable[Mapping[str, Any]], currency: str) -> Decimal:
    total = 0
    for each in items:
        amount = each.get("amount")
        if not isinstance(amount, int):
            raise Unclear("Stripe's answer has no amount.")
        total += amount
    return Decimal(total).scaleb(-exponent(currency))


def _compare(item: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, value in expected.items():
        if item.get(name) != value:
            raise Unclear(f"Stripe's answer has another {name} than the call.")


def _metadata(item: Mapping[str, Any]) -> Mapping[str, Any]:
    found = item.get("metadata")
    return found if isinstance(found, Mapping) else {}


def _items(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = page.get("data")
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise Unclear("Stripe's answer is not a list.")
    return found


def _text(item: Mapping[str, Any], name: str) -> str:
    found = item.get(name)
    if not isinstance(found, str) or not found:
        raise Unclear(f"Stripe's answer has no {name}.")
    return found
