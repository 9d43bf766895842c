"""The currencies of ISO 4217 and their exponents, as its maintenance agency publishes them (package
iso4217)."""

from collections.abc import Mapping

from iso4217 import Currency

# Of each currency, how many decimals its smallest unit has; None for what nothing is priced in,
# such as XXX and gold.
EXPONENTS: Mapping[str, int | None] = {each.code: each.exponent for each in Currency}

# What something can be priced in.
PAYABLE = tuple(sorted(code for code, exponent in EXPONENTS.items() if exponent is not None))


def exponent_of(currency: str) -> int:
    """Raises LookupError for what is no currency of today, or has no unit."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise LookupError(
            f"{currency!r} is no currency of ISO 4217 that something can be priced in."
        )
    return exponent
