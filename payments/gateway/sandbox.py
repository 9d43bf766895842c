"""A gateway without an external service; its book is payments.models.SandboxEntry.

The payment method decides the outcome:

    tok_visa, and any other   charged
    tok_declined              declined
    tok_insufficient_funds    declined
    tok_timeout_once          the first try times out, the next one is charged
    tok_timeout               every try times out, nothing is charged
    tok_charged_but_timeout   charged at once, every try times out: only a lookup by key finds it
    tok_flaky                 by its key: charged at the first, second or third try
    tok_late                  charged, the answer takes two seconds
    tok_bank_slip             pending at the first two tries, then charged; tries are 30 s apart
    tok_bank_slip_unpaid      always pending
    tok_refund_timeout_once   charged; the first refund times out, the next one succeeds
    tok_refunded_but_timeout  charged; the refund succeeds, but every try of it times out

The book counts the tries, so that the count survives the death of a worker.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import partial
from zlib import crc32

from django.db import transaction

from eventstore.effects.sandbox import NEVER, Book, Course, Entry
from eventstore.money import Money
from eventstore.subscriptions import NotYet
from payments.models import SandboxEntry

from .port import Charged, Declined, MoneyMoved, Refunded, RefundRefused

DECLINED = ("tok_declined", "tok_insufficient_funds")
CHARGES = {
    **dict.fromkeys(DECLINED, Course(done_at=NEVER)),
    "tok_timeout_once": Course(done_at=2, answered_at=2),
    "tok_timeout": Course(done_at=NEVER, answered_at=NEVER),
    "tok_charged_but_timeout": Course(answered_at=NEVER),
    "tok_late": Course(late=True),
}
# These methods decide later: a missing answer means pending, not lost.
SLOW = {
    "tok_bank_slip": Course(done_at=3, answered_at=3),
    "tok_bank_slip_unpaid": Course(done_at=NEVER, answered_at=NEVER),
}
REFUNDS = {
    "tok_refund_timeout_once": Course(done_at=2, answered_at=2),
    "tok_refunded_but_timeout": Course(answered_at=NEVER),
}
FLAKY = [Course(done_at=tries, answered_at=tries + late) for tries in (1, 2, 3) for late in (0, 1)]


class SandboxGateway:
    """late: seconds that a late answer takes."""

    def __init__(self, *, late: float = 2.0) -> None:
        self.book = Book(SandboxEntry, late=late)

    def charge(self, *, key: str, order_id: str, amount: Money, method: str) -> Charged | Declined:
        entry = _entry(key, "charge", f"ch_{key}", order_id, amount, method)
        if method in SLOW:
            try:
                self.book.enter(entry, SLOW[method])
            except TimeoutError:
                raise NotYet("The bank slip has not been paid yet.") from None
            return Charged(entry["reference"])
        self.book.enter(entry, _course(CHARGES, method, key))
        return Declined(method.removeprefix("tok_")) if method in DECLINED else Charged(f"ch_{key}")

    def find_charge(self, *, key: str, order_id: str, amount: Money) -> Charged | None:
        found = self._find(key)
        return Charged(found.reference) if found else None

    def refund(self, *, key: str, order_id: str, amount: Money) -> Refunded:
        entry = _entry(key, "refund", f"re_{key}", order_id, amount)
        entered = self.book.in_turn(partial(self._enter_refund, entry))
        if entered is None:
            return Refunded(0, "nothing-taken")
        self.book.answer(*entered)
        return Refunded(amount.amount, f"re_{key}")

    def find_refund(self, *, key: str, order_id: str, amount: Money) -> Refunded | None:
        found = self._find(key)
        return Refunded(found.amount, found.reference) if found else None

    def moved(self, *, order_id: str, currency: str) -> MoneyMoved:
        done = SandboxEntry.objects.filter(order_id=order_id, currency=currency, done=True)
        entries: list[SandboxEntry] = self.book.in_turn(lambda: list(done))
        return MoneyMoved(
            _sum(entries, SandboxEntry.Kind.CHARGE), _sum(entries, SandboxEntry.Kind.REFUND)
        )

    def charged(self, *, since: datetime) -> Iterator[tuple[str, str]]:
        done = SandboxEntry.objects.filter(
            kind=SandboxEntry.Kind.CHARGE, done=True, entered_at__gte=since
        )
        yield from self.book.in_turn(
            lambda: list(done.order_by("entered_at").values_list("order_id", "currency"))
        )

    def _find(self, key: str) -> SandboxEntry | None:
        return self.book.in_turn(SandboxEntry.objects.filter(key=key, done=True).first)

    @transaction.atomic
    def _enter_refund(self, entry: Entry) -> tuple[Course, int] | None:
        """None where nothing was charged. The entries of the order are locked, so that two refunds
        together never exceed the charge."""
        locked = SandboxEntry.objects.select_for_update().filter(order_id=entry["order_id"])
        others = [each for each in locked.order_by("key") if each.key != entry["key"]]
        charges = [each for each in others if each.kind == SandboxEntry.Kind.CHARGE and each.done]
        if not charges:
            return None
        left = sum(each.amount if each in charges else -each.amount for each in others)
        if entry["asked"] > left:
            raise RefundRefused(
                f"A refund of {entry['asked']} exceeds the {left} that is left of the charge."
            )
        course = _course(REFUNDS, charges[0].method, entry["key"])
        return course, self.book.write([entry | {"done_at": course.done_at}])[entry["key"]]


def _entry(
    key: str, kind: str, reference: str, order_id: str, amount: Money, method: str = ""
) -> Entry:
    return {
        "key": key,
        "kind": kind,
        "reference": reference,
        "order_id": order_id,
        "asked": amount.amount,
        "currency": amount.currency,
        "exponent": amount.exponent,
        "method": method,
    }


def _sum(entries: Iterable[SandboxEntry], kind: str) -> Decimal:
    return sum(
        (Decimal(each.amount).scaleb(-each.exponent) for each in entries if each.kind == kind),
        Decimal(0),
    )


def _course(courses: Mapping[str, Course], method: str, key: str) -> Course:
    if method == "tok_flaky":
        return FLAKY[crc32(key.encode()) % len(FLAKY)]
    return courses.get(method, Course())
