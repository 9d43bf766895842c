"""The outcomes of the sandbox gateway by payment method, and its book."""

import pytest
from django.db.models import Sum

from eventstore.money import Money
from eventstore.subscriptions import NotYet
from payments.gateway.port import Charged, Declined, Refunded, RefundRefused
from payments.gateway.sandbox import FLAKY, SandboxGateway
from payments.models import SandboxEntry

pytestmark = pytest.mark.django_db(transaction=True)

TEN = Money(1000, "EUR")


@pytest.fixture
def sandbox():
    return SandboxGateway(late=0.0)


def charge(sandbox, method="tok_visa", *, key="k1", amount=TEN):
    return sandbox.charge(key=key, order_id="o1", amount=amount, method=method)


def refund(sandbox, *, key="r1", amount=TEN):
    return sandbox.refund(key=key, order_id="o1", amount=amount)


def find(sandbox, key="k1"):
    return sandbox.find_charge(key=key, order_id="o1", amount=TEN)


def moved(kind):
    return SandboxEntry.objects.filter(kind=kind).aggregate(sum=Sum("amount"))["sum"] or 0


def test_what_is_taken_is_in_the_book(sandbox):
    assert charge(sandbox) == Charged("ch_k1")
    entry = SandboxEntry.objects.get()
    assert (
        entry.key,
        entry.order_id,
        entry.kind,
        entry.amount,
        entry.currency,
        entry.exponent,
        entry.reference,
    ) == (
        "k1",
        "o1",
        "charge",
        1000,
        "EUR",
        2,
        "ch_k1",
    )


@pytest.mark.parametrize("method", ["tok_declined", "tok_insufficient_funds"])
def test_what_is_declined_moves_nothing(sandbox, method):
    assert charge(sandbox, method) == Declined(method[4:])
    assert moved("charge") == 0
    assert find(sandbox) is None


def test_a_time_out_once_is_decided_by_the_book_whoever_asks_again(sandbox):
    with pytest.raises(TimeoutError):
        charge(sandbox, "tok_timeout_once")
    assert moved("charge") == 0
    assert charge(SandboxGateway(), "tok_timeout_once") == Charged("ch_k1")
    assert moved("charge") == 1000


def test_what_is_taken_without_an_answer_is_found_by_key_and_taken_once(sandbox):
    for _ in range(3):
        with pytest.raises(TimeoutError):
            charge(sandbox, "tok_charged_but_timeout")
    assert find(sandbox) == Charged("ch_k1")
    assert moved("charge") == 1000


def test_what_always_times_out_moves_nothing(sandbox):
    for _ in range(3):
        with pytest.raises(TimeoutError):
            charge(sandbox, "tok_timeout")
    assert find(sandbox) is None
    assert moved("charge") == 0


def test_a_flaky_one_is_taken_once_after_some_tries_and_goes_every_way_there_is(sandbox):
    seen = set()
    for number in range(60):
        tries = 0
        while True:
            tries += 1
            try:
                charge(sandbox, "tok_flaky", key=f"k{number}")
                break
            except TimeoutError:
                assert tries < 4
        seen.add((SandboxEntry.objects.get(key=f"k{number}").done_at, tries))
    assert seen == {(course.done_at, course.answered_at) for course in FLAKY}
    assert moved("charge") == 60 * 1000


class TestARefund:
    def test_gives_back_what_was_taken(self, sandbox):
        charge(sandbox)
        assert refund(sandbox) == Refunded(1000, "re_r1")
        assert moved("refund") == 1000

    def test_repeated_is_one(self, sandbox):
        charge(sandbox)
        assert refund(sandbox) == refund(sandbox)
        assert moved("refund") == 1000

    def test_in_parts_gives_back_no_more_than_is_left(self, sandbox):
        charge(sandbox)
        refund(sandbox, key="r1", amount=TEN.of(600))
        with pytest.raises(RefundRefused, match="A refund of 600 exceeds the 400 that is left"):
            refund(sandbox, key="r2", amount=TEN.of(600))
        refund(sandbox, key="r3", amount=TEN.of(400))
        assert moved("refund") == 1000

    def test_where_nothing_was_taken_gives_nothing_back(self, sandbox):
        charge(sandbox, "tok_declined")
        assert refund(sandbox) == Refunded(0, "nothing-taken")
        assert moved("refund") == 0

    def test_may_time_out_once(self, sandbox):
        charge(sandbox, "tok_refund_timeout_once")
        with pytest.raises(TimeoutError):
            refund(sandbox)
        assert refund(sandbox) == Refunded(1000, "re_r1")

    def test_without_an_answer_is_found_by_key(self, sandbox):
        charge(sandbox, "tok_refunded_but_timeout")
        with pytest.raises(TimeoutError):
            refund(sandbox)
        assert sandbox.find_refund(key="r1", order_id="o1", amount=TEN) == Refunded(1000, "re_r1")


def test_a_bank_slip_is_paid_later_and_nothing_is_taken_before(db):
    gateway = SandboxGateway(late=0.0)
    ask = {
        "key": "slip",
        "order_id": "o-slip",
        "amount": Money(500, "EUR"),
        "method": "tok_bank_slip",
    }
    for _ in range(2):
        with pytest.raises(NotYet):
            gateway.charge(**ask)
        assert gateway.find_charge(key="slip", order_id="o-slip", amount=Money(500, "EUR")) is None
    assert gateway.charge(**ask) == gateway.charge(**ask) == Charged("ch_slip")


def test_one_that_is_never_paid_stays_undecided(db):
    for _ in range(5):
        with pytest.raises(NotYet):
            SandboxGateway(late=0.0).charge(
                key="never",
                order_id="o-never",
                amount=Money(500, "EUR"),
                method="tok_bank_slip_unpaid",
            )
