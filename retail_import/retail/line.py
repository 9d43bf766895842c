"""One line of the file, as values."""

from datetime import datetime

from msgspec import Struct


class Line(Struct, frozen=True, gc=False):
    """Identified by invoice and position in it, for real files have exact duplicates. number: of
    the
    line in the file. price: in thousandths of a pound."""

    number: int
    invoice: str
    position: int
    code: str
    description: str
    quantity: int
    at: datetime
    price: int
    customer: str | None
    country: str

    @property
    def sku(self) -> str:
        """Codes that differ only in case are one product."""
        return self.code.upper()

    @property
    def value(self) -> int:
        return self.quantity * self.price
