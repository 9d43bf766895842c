"""One line of the file, as values."""

from datetime import datetime

from msgspec import Struct


class Line(Struct, frozen=True, gc=False):
    """Known by invoice and position there, for exact duplicates are real; `number` finds it in the
    file."""

    number: int
    invoice: str
    position: int
    code: str
    description: str
    quantity: int
    at: datetime
    price: int
    """Thousandths of a pound."""
    customer: str | None
    country: str

    @property
    def sku(self) -> str:
        """Codes differ in case only; stock is counted under the upper-cased one."""
        return self.code.upper()

    @property
    def value(self) -> int:
        return self.quantity * self.price
