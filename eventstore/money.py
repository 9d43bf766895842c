"""Money as events hold it: never a float."""

from .messages import InvalidMessage, Value

# What the columns of read models hold.
LARGEST = 2**63 - 1


class Money(Value, frozen=True):
    """amount: an integer in the smallest unit used, of which 10 ** exponent make one of the currency (ISO 4217)."""

    amount: int
    currency: str
    exponent: int = 2

    def validate(self) -> None:
        if not (len(self.currency) == 3 and self.currency.isascii() and self.currency.isupper()):
            raise InvalidMessage(f"Money: {self.currency!r} is not an ISO 4217 code.")
        if not 0 <= self.exponent <= 6:
            raise InvalidMessage(f"Money: an exponent of {self.exponent} is not from 0 to 6.")
        if abs(self.amount) > LARGEST:
            raise InvalidMessage(f"Money: an amount of {self.amount} does not fit 64 bits.")

    def __str__(self) -> str:
        sign, digits = "-" if self.amount < 0 else "", f"{abs(self.amount):0{self.exponent + 1}d}"
        whole, part = digits[: len(digits) - self.exponent], digits[len(digits) - self.exponent :]
        return f"{sign}{whole}{'.' if part else ''}{part} {self.currency}"

    def of(self, amount: int) -> "Money":
        """Another amount in the same unit."""
        return Money(amount, self.currency, self.exponent)
