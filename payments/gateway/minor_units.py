"""Money in the minor unit (ISO 4217) that Stripe counts in: exact, or refused."""

from eventstore.money import Money

# https://docs.stripe.com/currencies: currencies without decimals, and with three decimals, of which
# the last must be zero.
WITHOUT = {
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "JPY",
    "KMF",
    "KRW",
    "MGA",
    "PYG",
    "RWF",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
}
WITH_THREE = {"BHD", "JOD", "KWD", "OMR", "TND"}
# Two decimals for backward compatibility; both must be zero.
WITH_TWO_ZEROS = {"ISK", "UGX"}


class NotChargeable(ValueError):
    """The provider cannot express this amount exactly."""


def smallest_unit(money: Money) -> int:
    """Raises NotChargeable."""
    step = 10 if money.currency in WITH_THREE else 100 if money.currency in WITH_TWO_ZEROS else 1
    amount, rest = divmod(
        money.amount * int(10 ** exponent(money.currency)), int(10**money.exponent)
    )
    if rest or amount % step:
        raise NotChargeable(
            f"{money} cannot be moved exactly: it is finer than the provider's unit of"
            f" {money.currency}."
        )
    return amount


def exponent(currency: str) -> int:
    return 0 if currency in WITHOUT else 3 if currency in WITH_THREE else 2
