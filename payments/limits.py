"""The limits of payment providers: an amount outside of them is refused before anything is
recorded.

A limit is a function: amount -> why the provider cannot move it; empty if it can. None is no limit.
What a provider refuses beyond its limits is an answer to the call, and final (gateway/effect.py).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from eventstore.money import Money
from payments.gateway.minor_units import NotChargeable, smallest_unit

Limit = Callable[[Money], str]

# https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts, in Stripe's smallest unit.
STRIPES_SMALLEST = {
    "AED": 200,
    "AUD": 50,
    "BRL": 50,
    "CAD": 50,
    "CHF": 50,
    "CZK": 1500,
    "DKK": 250,
    "EUR": 50,
    "GBP": 30,
    "HKD": 400,
    "HUF": 17500,
    "INR": 50,
    "JPY": 50,
    "MXN": 1000,
    "MYR": 200,
    "NOK": 300,
    "NZD": 50,
    "PLN": 200,
    "RON": 200,
    "SEK": 300,
    "SGD": 50,
    "THB": 1000,
    "USD": 50,
}


class Limits(NamedTuple):
    """For charges and for refunds. An amount of 0 calls no provider."""

    charge: Limit | None = None
    refund: Limit | None = None


def charged_by_stripe(money: Money) -> str:
    if why := refunded_by_stripe(money):
        return why
    least = STRIPES_SMALLEST.get(money.currency, 0)
    if 0 < smallest_unit(money) < least:
        return (
            f"{money} is below the provider's minimum charge of {least} units of {money.currency}."
        )
    return ""


def refunded_by_stripe(money: Money) -> str:
    try:
        smallest_unit(money)
    except NotChargeable as error:
        return str(error)
    return ""


OF: Mapping[str, Limits] = {
    "sandbox": Limits(),
    "stripe": Limits(charged_by_stripe, refunded_by_stripe),
}
