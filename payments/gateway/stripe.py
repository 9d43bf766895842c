"""Stripe, through its official library: payment intents and refunds, each under our key.

Our key is the idempotency key, which Stripe forgets after a day, and stands in the metadata, where
it is found later. The order is the transfer group, for charges are listed by that at once, where
Stripe's search is a minute behind.
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

# What is wrong with the card or the amount, and stays wrong. Whatever else Stripe refuses is for us
# to mend.
FINAL = (
    "amount_too_large",
    "amount_too_small",
    "payment_method_unactivated",
    "resource_missing",
    "token_already_used",
)
# Of what was taken too little is left, or it was taken too long ago or by a method that gives
# nothing back.
TOO_MUCH = (
    "charge_already_refunded",
    "amount_too_large",
    "charge_not_refundable",
    "refund_disputed_payment",
)


class Unclear(ConnectionError):
    """An answer that proves nothing. Whether money moved is unknown, as if there had been none."""


class CallRefused(Exception):
    """Stripe does not take the call as such; somebody has to mend our account, our key or our
    code."""


class StripeGateway:
    """seconds: how long a call may take. The library's own retries are off, for the engine decides
    on them."""

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
        params: Any = {
            "amount": units,
            "currency": amount.currency.lower(),
            "confirm": True,
            "error_on_requires_action": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "transfer_group": order_id,
            "metadata": {"key": key, "order_id": order_id},
            **_method(method),
        }
        try:
            intent = _called(self.api.payment_intents.create, params, {"idempotency_key": key})
        except stripe.CardError as error:
            return Declined(_reason(error))
        except stripe.InvalidRequestError as error:
            if error.code in FINAL:
                return Declined(error.code)
            raise _refusal(error) from None
        return _outcome(intent, key, order_id, units, amount.currency)

    def find_charge(self, *, key: str, order_id: str, amount: Money) -> Charged | Declined | None:
        for charge in self._charges(order_id):
            if _metadata(charge).get("key") == key:
                intent = _asked(self.api.payment_intents.retrieve, _text(charge, "payment_intent"))
                return _outcome(intent, key, order_id, smallest_unit(amount), amount.currency)
        return None

    def refund(self, *, key: str, order_id: str, amount: Money) -> Refunded:
        charges = [charge for charge in self._charges(order_id) if charge.get("status") != "failed"]
        if not charges:
            return Refunded(0, "nothing-taken")
        if charges[0].get("status") == "pending":
            raise NotYet("The charge is still pending, so nothing can go back.")
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
            refund = _called(self.api.refunds.create, params, {"idempotency_key": key})
        except stripe.InvalidRequestError as error:
            if error.code in TOO_MUCH:
                raise RefundRefused(f"Stripe gives back no {amount}: {error.code}.") from None
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
        """Empty where it is none of ours. Refunds and disputes that we did not begin name their
        payment intent only."""
        return ours(_asked(self.api.payment_intents.retrieve, payment_intent))[1]

    def charged(self, *, since: datetime) -> Iterator[tuple[str, str]]:
        behind: dict[str, Any] = {}
        while True:
            page = _asked(
                self.api.charges.list,
                {"created": {"gte": int(since.timestamp())}, "limit": 100, **behind},
            )
            charges = _listed(page)
            for charge in charges:
                key, order_id = ours(charge)
                if key and order_id and charge.get("status") == "succeeded":
                    yield order_id, _text(charge, "currency").upper()
            if not charges or not page.get("has_more"):
                return
            behind = {"starting_after": _text(charges[-1], "id")}

    def _refunds(self, charge: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        of_this = {"payment_intent": _text(charge, "payment_intent"), "limit": 100}
        return _listed(_asked(self.api.refunds.list, of_this))

    def _charges(self, order_id: str) -> list[Mapping[str, Any]]:
        page = _asked(self.api.charges.list, {"transfer_group": order_id, "limit": 100})
        return [charge for charge in _listed(page) if _metadata(charge).get("order_id") == order_id]


def ours(said: Mapping[str, Any]) -> tuple[str, str]:
    """The key and the order that stand in the metadata; empty for what is none of ours."""
    metadata = _metadata(said)
    return str(metadata.get("key", "")), str(metadata.get("order_id", ""))


def told(
    said: Mapping[str, Any], key: str, order_id: str, amount: Money
) -> Charged | Declined | Refunded:
    """What a payment intent or a refund says of the call with that key. Raises NotYet, Unclear,
    RefundRefused."""
    if said.get("object") == "refund":
        return _refunded(said, key, smallest_unit(amount), amount)
    return _outcome(said, key, order_id, smallest_unit(amount), amount.currency)


def _asked(call: Callable[..., Any], *args: Any) -> Mapping[str, Any]:
    try:
        return _called(call, *args)
    except (stripe.CardError, stripe.InvalidRequestError) as error:
        raise _refusal(error) from None


def _called(call: Callable[..., Any], *args: Any) -> Mapping[str, Any]:
    """The answer as plain data. Only what Stripe says of the call itself comes through as its own
    error.

    What the library would tell besides (bodies, headers) goes no further: it may hold anything.
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
        raise Unclear(f"Stripe answers with {error.http_status}: {type(error).__name__}.") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Unclear(
            f"Stripe's answer has no form that its library knows: {type(error).__name__}."
        ) from None


def _refusal(error: stripe.StripeError) -> CallRefused:
    return CallRefused(
        f"Stripe refuses the call: {type(error).__name__} {error.http_status}"
        f" {error.code or ''}".rstrip()
    )


def _reason(error: stripe.CardError) -> str:
    return str(getattr(error.error, "decline_code", None) or error.code or "declined")


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
            raise NotYet("The bank has not decided yet.")
        case "requires_payment_method" | "canceled":
            error = intent.get("last_payment_error")
            error = error if isinstance(error, Mapping) else {}
            return Declined(str(error.get("decline_code") or error.get("code") or intent["status"]))
    raise Unclear(f"A payment intent of the status {intent.get('status')!r}.")


def _refunded(refund: Mapping[str, Any], key: str, units: int, amount: Money) -> Refunded:
    _compare(refund, {"amount": units, "currency": amount.currency.lower()})
    _compare(_metadata(refund), {"key": key})
    match refund.get("status"):
        case "succeeded":
            return Refunded(amount.amount, _text(refund, "id"))
        case "pending" | "requires_action":
            raise NotYet("The refund is on its way.")
        case "failed" | "canceled":
            raise RefundRefused(
                f"Stripe could not give back {amount}: {refund.get('failure_reason')}."
            )
    raise Unclear(f"A refund of the status {refund.get('status')!r}.")


def _succeeded(said: Iterable[Mapping[str, Any]], currency: str) -> list[Mapping[str, Any]]:
    return [
        each
        for each in said
        if each.get("status") == "succeeded" and each.get("currency") == currency.lower()
    ]


def _sum(said: Iterable[Mapping[str, Any]], currency: str) -> Decimal:
    return Decimal(sum(_number(each, "amount") for each in said)).scaleb(-exponent(currency))


def _compare(said: Mapping[str, Any], meant: Mapping[str, Any]) -> None:
    for name, value in meant.items():
        if said.get(name) != value:
            raise Unclear(f"Stripe says another {name} than was asked for.")


def _method(method: str) -> dict[str, Any]:
    """A payment method by its id, or a card by its token."""
    if method.startswith("tok_"):
        return {"payment_method_data": {"type": "card", "card": {"token": method}}}
    return {"payment_method": method}


def _metadata(said: Mapping[str, Any]) -> Mapping[str, Any]:
    found = said.get("metadata")
    return found if isinstance(found, Mapping) else {}


def _listed(page: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = page.get("data")
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise Unclear("Stripe's list is none.")
    return found


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str) or not found:
        raise Unclear(f"Stripe's answer has no {name}.")
    return found


def _number(said: Mapping[str, Any], name: str) -> int:
    found = said.get(name)
    if not isinstance(found, int):
        raise Unclear(f"Stripe's answer has no {name}.")
    return found
