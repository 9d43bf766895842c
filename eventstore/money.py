"""Money as events hold it: never a float."""

from typing import Any

from eventstore.messages import Checked, InvalidMessage, Value, replace

from . import currencies

# What the columns of read models hold.
LARGEST = 2**63 - 1
FINEST = 6


class InItsUnit(Checked):
    """Where no exponent is given, the currency's own holds: 500 JPY are five hundred yen. What is
    stored has one, or means the 2 of old."""

    def __call__(cls, amount: int, currency: str, exponent: int | None = None) -> Any:
        if exponent is None:
            exponent = currencies.EXPONENTS.get(currency) or 0
        return super().__call__(amount, currency, exponent)


class Money(Value, frozen=True, metaclass=InItsUnit):
    """amount: an integer in the smallest unit used, of which 10 ** exponent make one of the
    currency (ISO 4217).

    Equal amounts are equal in whatever unit: 8.900 EUR is 8.90 EUR.
    """

    amount: int
    currency: str
    exponent: int = 2

    def validate(self) -> None:
        if self.currency not in currencies.EXPONENTS:
            raise InvalidMessage(f"Money: {self.currency!r} is not an ISO 4217 code.")
        if not 0 <= self.exponent <= FINEST:
            raise InvalidMessage(
                f"Money: an exponent of {self.exponent} is not from 0 to {FINEST}."
            )
        self._check_amount()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Money):
            return NotImplemented
        if self.exponent == other.exponent:
            return self.amount == other.amount and self.currency == other.currency
        return self._plain() == other._plain()

    def __hash__(self) -> int:
        return hash(self._plain())

    def __str__(self) -> str:
        sign, digits = "-" if self.amount < 0 else "", f"{abs(self.amount):0{self.exponent + 1}d}"
        whole, part = digits[: len(digits) - self.exponent], digits[len(digits) - self.exponent :]
        return f"{sign}{whole}{'.' if part else ''}{part} {self.currency}"

    def of(self, amount: int) -> "Money":
        """Another amount in the same unit, also of a currency that is none any more: what was paid
        in it goes back."""
        return replace(self, amount=amount)._check_amount()

    def at(self, exponent: int) -> "Money":
        """The same amount in a unit as fine or finer."""
        return replace(
            self, amount=self.amount * 10 ** (exponent - self.exponent), exponent=exponent
        )._check_amount()

    def _check_amount(self) -> "Money":
        if abs(self.amount) > LARGEST:
            raise InvalidMessage(f"Money: an amount of {self.amount} does not fit 64 bits.")
        return self

    def _plain(self) -> tuple[int, str]:
        """In a unit that is fine enough for all."""
        return self.amount * 10 ** (FINEST - self.exponent), self.currency
