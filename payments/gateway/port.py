"""What we ask of a payment provider, whoever it is.

Every call carries a key, the same for all of its tries. Whoever has no answer raises TimeoutError
or ConnectionError: whether money moved is then unknown, and is found out by the key before anything
is asked again.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from eventstore.money import Money


class RefundRefused(Exception):
    """The provider gives nothing back, now or later: more than is left, or an amount or a charge
    that it cannot."""


class Charged(NamedTuple):
    reference: str


class Declined(NamedTuple):
    reason: str


class Refunded(NamedTuple):
    """amount: what went back; 0 where nothing had been taken."""

    amount: int
    reference: str


class MoneyMoved(NamedTuple):
    """What has moved for an order, under whatever keys, in whole units of a currency."""

    taken: Decimal
    given_back: Decimal


class Gateway(Protocol):
    """A repeat is answered without being done again, for as long as the provider remembers the
    key."""

    def charge(
        self, *, key: str, order_id: str, amount: Money, method: str
    ) -> Charged | Declined: ...

    def find_charge(
        self, *, key: str, order_id: str, amount: Money
    ) -> Charged | Declined | None: ...

    def refund(self, *, key: str, order_id: str, amount: Money) -> Refunded: ...

    def find_refund(self, *, key: str, order_id: str, amount: Money) -> Refunded | None: ...

    def moved(self, *, order_id: str, currency: str) -> MoneyMoved: ...

    def charged(self, *, since: datetime) -> Iterator[tuple[str, str]]:
        """The order and the currency of each charge of ours that was taken since then, whatever we
        know of it."""
        ...
