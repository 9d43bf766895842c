"""Money in messages: an integer and an exponent, never a float.

Currencies and exponents are those of ISO 4217, as published (package iso4217).
"""

from collections.abc import Mapping
from typing import Any

from iso4217 import Currency

from eventstore.messages import Checked, InvalidMessage, Value, replace

# Currency -> the number of decimals of its minor unit; None for currencies without one, such as XXX
# and gold.
EXPONENTS: Mapping[str, int | None] = {each.code: each.exponent for each in Currency}

# Currencies for prices.
PAYABLE = tuple(sorted(code for code, exponent in EXPONENTS.items() if exponent is not None))

# Every client can read it exactly: JSON numbers are doubles in many languages (RFC 8259, 6).
LARGEST = 2**53 - 1
FINEST = 6


def exponent_of(currency: str) -> int:
    """Raises LookupError for an unknown or former currency, and for one without a minor unit."""
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise LookupError(f"{currency!r} is not an ISO 4217 currency with a minor unit.")
    return exponent


class DefaultsExponent(Checked):
    """Without an exponent, the currency's own applies: 500 JPY are five hundred yen. Stored amounts
    have an exponent, or are from a time when it was always 2."""

    def __call__(cls, amount: int, currency: str, exponent: int | None = None) -> Any:
        if exponent is None:
            exponent = EXPONENTS.get(currency) or 0
        return super().__call__(amount, currency, exponent)


class Money(Value, frozen=True, metaclass=DefaultsExponent):
    """amount: an integer in a unit of which 10 ** exponent make one unit of the currency (ISO
    4217).

    Amounts are compared independently of the exponent: 8.900 EUR equals 8.90 EUR.
    """

    amount: int
    currency: str
    exponent: int = 2

    def validate(self) -> None:
        if self.currency not in EXPONENTS:
            raise InvalidMessage(f"Money: {self.currency!r} is not an ISO 4217 code.")
        if not 0 <= self.exponent <= FINEST:
            raise InvalidMessage(f"Money: exponent {self.exponent} is not between 0 and {FINEST}.")
        self._check_amount()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        if self.exponent == other.exponent:
            return self.amount == other.amount and self.currency == other.currency
        return self._normalized() == other._normalized()

    def __hash__(self) -> int:
        return hash(self._normalized())

    def __str__(self) -> str:
        sign, digits = "-" if self.amount < 0 else "", f"{abs(self.amount):0{self.exponent + 1}d}"
        whole, part = digits[: len(digits) - self.exponent], digits[len(digits) - self.exponent :]
        return f"{sign}{whole}{'.' if part else ''}{part} {self.currency}"

    def of(self, amount: int) -> "Money":
        """Another amount with the same currency and exponent. Also for a currency that is no longer
        valid, in which a payment must be refunded."""
        return replace(self, amount=amount)._check_amount()

    def at(self, exponent: int) -> "Money":
        """The same amount with an exponent that is equal or higher."""
        return replace(
            self, amount=self.amount * 10 ** (exponent - self.exponent), exponent=exponent
        )._check_amount()

    def _check_amount(self) -> "Money":
        if abs(self.amount) > LARGEST:
            raise InvalidMessage(f"Money: the amount {self.amount} is beyond 2^53 - 1.")
        return self

    def _normalized(self) -> tuple[int, str]:
        """With the highest exponent."""
        return self.amount * 10 ** (FINEST - self.exponent), self.currency
