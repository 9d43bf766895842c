"""Our money in the unit that Stripe counts in, to the digit, or not at all."""

from eventstore.money import Money

# https://docs.stripe.com/currencies: those without decimals, and those with three, of which the
# last must be zero.
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
# Counted with two for the sake of old times, which must be zero.
WITH_TWO_ZEROS = {"ISK", "UGX"}


class NotChargeable(ValueError):
    """An amount that the provider cannot take exactly."""


def smallest_unit(money: Money) -> int:
    """Raises NotChargeable."""
    amount, rest = divmod(
        money.amount * int(10 ** exponent(money.currency)), int(10**money.exponent)
    )
    if rest or amount % _multiple(money.currency):
        raise NotChargeable(
            f"{money} cannot be moved exactly: the provider counts {money.currency} more coarsely."
        )
    return amount


def exponent(currency: str) -> int:
    return 0 if currency in WITHOUT else 3 if currency in WITH_THREE else 2


def _multiple(currency: str) -> int:
    return 10 if currency in WITH_THREE else 100 if currency in WITH_TWO_ZEROS else 1
