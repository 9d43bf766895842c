"""The currencies of ISO 4217 and their exponents, as its maintenance agency publishes them (package
iso4217)."""

from collections.abc import Mapping

from iso4217 import Currency

# Currency -> the number of decimals of its minor unit; None for currencies without one, such as XXX
# and gold.
EXPONENTS: Mapping[str, int | None] = {each.code: each.exponent for each in Currency}

# Currencies for prices.
PAYABLE = tuple(sorted(code for code, exponent in EXPONENTS.items() if exponent is not None))


def exponent_of(currency: str) -> int:
    """Raises LookupError for an unknown or former currency, and for one without a minor unit."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise LookupError(f"{currency!r} is not an ISO 4217 currency with a minor unit.")
    return exponent
