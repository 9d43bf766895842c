"""The port: what we need of any payment provider.

Every call carries an idempotency key, the same for all tries of the call. Without an answer a
gateway raises TimeoutError or ConnectionError. Whether money moved is then unknown: the engine
looks
the call up by its key before it calls again.
"""

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, Protocol

from eventstore.money import Money


class RefundRefused(Exception):
    """A final refusal: the refund exceeds what is left, or the provider cannot refund this amount
    or charge."""


class Charged(NamedTuple):
    reference: str


class Declined(NamedTuple):
    reason: str


class Refunded(NamedTuple):
    """amount: what was refunded; 0 where nothing had been charged."""

    amount: int
    reference: str


class MoneyMoved(NamedTuple):
    """All money moved for an order, in whole units of the currency."""

    taken: Decimal
    given_back: Decimal


class Gateway(Protocol):
    """A repeat under the same key gets the first answer, for as long as the provider remembers the
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
        """(order id, currency) of each of our charges since then, also of those missing in our
        log."""
        ...
