"""The contract of gateways: one suite for the sandbox, and for Stripe's adapter with a server on
loopback."""

import sqlite3
import subprocess
import sys
from decimal import Decimal

import pytest

from eventstore.money import Money
from eventstore.subscriptions import NotYet
from payments.gateway.minor_units import NotChargeable, smallest_unit
from payments.gateway.port import Charged, Declined, MoneyMoved, Refunded, RefundRefused
from payments.gateway.sandbox import SandboxGateway
from payments.gateway.stripe import CallRefused, StripeGateway
from payments.models import SandboxEntry

pytestmark = pytest.mark.django_db(transaction=True)

TEN = Money(1000, "EUR")
SECRET = "sk_test_canary"


class Shop:
    """Calls a gateway as the effect does. moved(kind): the total of its book, in its own unit."""

    def __init__(self, gateway, moved):
        self.gateway, self.moved = gateway, moved

    def charge(self, method="tok_visa", *, key="k1", amount=TEN):
        return self.gateway.charge(key=key, order_id="o1", amount=amount, method=method)

    def find_charge(self, key="k1", amount=TEN):
        return self.gateway.find_charge(key=key, order_id="o1", amount=amount)

    def refund(self, *, key="r1", amount=TEN):
        return self.gateway.refund(key=key, order_id="o1", amount=amount)

    def find_refund(self, key="r1", amount=TEN):
        return self.gateway.find_refund(key=key, order_id="o1", amount=amount)


class Bank:
    """The server in a process of its own; its book is read from outside."""

    def __init__(self, book, *options):
        self.book = book
        command = [
            sys.executable,
            "-m",
            "tests.payments.stripe_server",
            str(book),
            "--hold",
            "1",
            *options,
        ]
        self.program = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.url = self.program.stdout.readline().strip()

    def shop(self, **options):
        gateway = StripeGateway(
            **{"secret_key": SECRET, "base_url": self.url, "seconds": 0.5} | options
        )
        return Shop(gateway, self.moved)

    def moved(self, kind):
        statement = {
            "charge": "SELECT coalesce(sum(amount), 0) FROM intent WHERE status = 'succeeded'",
            "refund": "SELECT coalesce(sum(amount), 0) FROM refund",
        }[kind]
        return self.write(statement)[0][0]

    def write(self, statement):
        with sqlite3.connect(self.book) as db:
            return db.execute(statement).fetchall()

    def close(self):
        self.program.kill()
        self.program.wait()


@pytest.fixture
def bank(tmp_path):
    bank = Bank(tmp_path / "book.sqlite")
    yield bank
    bank.close()


@pytest.fixture(params=["sandbox", "stripe"])
def shop(request):
    if request.param == "sandbox":
        return Shop(SandboxGateway(late=0.0), moved_in_the_sandbox)
    return request.getfixturevalue("bank").shop()


def moved_in_the_sandbox(kind):
    return sum(SandboxEntry.objects.filter(kind=kind).values_list("amount", flat=True))


class TestEveryGateway:
    def test_takes_the_money_and_names_the_charge(self, shop):
        charged = shop.charge()
        assert isinstance(charged, Charged)
        assert charged.reference
        assert shop.moved("charge") == 1000

    def test_answers_the_same_key_with_the_same_charge(self, shop):
        assert shop.charge() == shop.charge()
        assert shop.moved("charge") == 1000

    def test_charges_another_key_anew(self, shop):
        assert shop.charge(key="k1") != shop.charge(key="k2")
        assert shop.moved("charge") == 2000

    @pytest.mark.parametrize("method", ["tok_declined", "tok_insufficient_funds"])
    def test_says_no_and_moves_nothing(self, shop, method):
        assert isinstance(shop.charge(method), Declined)
        assert isinstance(shop.charge(method), Declined)
        assert shop.moved("charge") == 0

    def test_finds_nothing_of_what_it_was_never_asked(self, shop):
        shop.charge(key="k1")
        assert shop.find_charge("k2") is None
        assert shop.find_refund("r1") is None

    def test_finds_a_charge_by_its_key(self, shop):
        charged = shop.charge()
        assert shop.find_charge() == charged

    def test_times_out_and_takes_it_at_the_next_try(self, shop):
        with pytest.raises(TimeoutError):
            shop.charge("tok_timeout_once")
        assert shop.find_charge() is None
        assert isinstance(shop.charge("tok_timeout_once"), Charged)
        assert shop.moved("charge") == 1000

    def test_that_took_it_without_an_answer_says_so_when_asked_by_key(self, shop):
        with pytest.raises(TimeoutError):
            shop.charge("tok_charged_but_timeout")
        assert isinstance(shop.find_charge(), Charged)
        assert shop.moved("charge") == 1000

    def test_gives_back_once_for_each_key(self, shop):
        shop.charge()
        refunded = shop.refund()
        assert refunded.amount == 1000
        assert shop.refund() == refunded
        assert shop.find_refund() == refunded
        assert shop.moved("refund") == 1000

    def test_gives_back_in_parts_and_no_more_than_is_left(self, shop):
        shop.charge()
        shop.refund(key="r1", amount=TEN.of(600))
        with pytest.raises(RefundRefused):
            shop.refund(key="r2", amount=TEN.of(600))
        assert shop.refund(key="r3", amount=TEN.of(400)).amount == 400
        assert shop.moved("refund") == 1000

    def test_gives_nothing_back_where_nothing_was_taken(self, shop):
        shop.charge("tok_declined")
        assert shop.refund() == Refunded(0, "nothing-taken")
        assert shop.moved("refund") == 0

    def test_times_out_and_gives_back_at_the_next_try(self, shop):
        shop.charge("tok_refund_timeout_once")
        with pytest.raises(TimeoutError):
            shop.refund()
        assert shop.find_refund() is None
        assert shop.refund().amount == 1000

    def test_that_gave_back_without_an_answer_says_so_when_asked_by_key(self, shop):
        shop.charge("tok_refunded_but_timeout")
        with pytest.raises(TimeoutError):
            shop.refund()
        assert shop.find_refund().amount == 1000
        assert shop.moved("refund") == 1000

    def test_tells_what_has_moved_for_an_order_in_whole_units(self, shop):
        shop.charge(key="k1")
        shop.charge("tok_declined", key="k2")
        shop.refund(amount=TEN.of(250))
        assert shop.gateway.moved(order_id="o1", currency="EUR") == MoneyMoved(
            Decimal("10"), Decimal("2.5")
        )
        assert shop.gateway.moved(order_id="o1", currency="JPY") == MoneyMoved(
            Decimal(0), Decimal(0)
        )
        assert shop.gateway.moved(order_id="o2", currency="EUR") == MoneyMoved(
            Decimal(0), Decimal(0)
        )


class TestStripe:
    @pytest.mark.parametrize(
        "method", ["tok_wrong_amount", "tok_wrong_currency", "tok_wrong_order"]
    )
    def test_what_it_tells_otherwise_than_it_was_asked_proves_nothing(self, bank, method):
        with pytest.raises(ConnectionError, match="another"):
            bank.shop().charge(method)

    @pytest.mark.parametrize(
        "method", ["tok_html", "tok_redirect", "tok_huge", "tok_list", "tok_500"]
    )
    def test_an_answer_that_is_none_proves_nothing_and_is_not_passed_on(self, bank, method):
        with pytest.raises((ConnectionError, TimeoutError)) as raised:
            bank.shop().charge(method)
        assert len(str(raised.value)) < 200
        assert "sk_test" not in str(raised.value)
        assert bank.moved("charge") == 0

    def test_taken_behind_a_500_it_is_found_and_not_taken_again(self, bank):
        with pytest.raises(ConnectionError):
            bank.shop().charge("tok_500_but_charged")
        assert isinstance(bank.shop().find_charge(), Charged)
        assert bank.moved("charge") == 1000

    def test_whoever_forgets_keys_is_still_asked_by_what_stands_in_the_metadata(self, tmp_path):
        """Without the lookup before the second try, this bank charges twice."""
        bank = Bank(tmp_path / "book.sqlite", "--forgetful")
        try:
            with pytest.raises(TimeoutError):
                bank.shop().charge("tok_charged_but_timeout")
            assert isinstance(bank.shop().find_charge(), Charged)
            assert bank.moved("charge") == 1000
            with pytest.raises(TimeoutError):
                bank.shop().charge("tok_charged_but_timeout")
            assert bank.moved("charge") == 2000
        finally:
            bank.close()

    def test_a_bank_that_has_not_decided_is_waited_for(self, bank):
        with pytest.raises(NotYet):
            bank.shop().charge("tok_processing")
        with pytest.raises(NotYet):
            bank.shop().find_charge()
        with pytest.raises(NotYet):
            bank.shop().refund()
        bank.write("UPDATE intent SET status = 'succeeded'")
        assert bank.shop().find_charge() == Charged("pi_1")

    def test_a_card_that_is_not_there_is_declined_for_good(self, bank):
        assert bank.shop().charge("tok_missing") == Declined("resource_missing")

    def test_a_charge_that_it_does_not_count_so_finely_is_declined_with_a_sentence(self, bank):
        declined = bank.shop().charge(amount=Money(12345, "GBP", 3))
        assert declined == Declined(
            "12.345 GBP cannot be moved exactly: it is finer than the provider's unit of GBP."
        )
        assert bank.moved("charge") == 0

    def test_another_body_under_a_used_key_is_refused(self, bank):
        bank.shop().charge(amount=TEN)
        with pytest.raises(CallRefused, match="IdempotencyError"):
            bank.shop().charge(amount=TEN.of(999))

    def test_nobody_there_is_no_answer(self, bank):
        bank.close()
        with pytest.raises(TimeoutError):
            bank.shop().charge()

    def test_its_book_outlives_it(self, bank):
        bank.shop().charge()
        bank.close()
        again = Bank(bank.book)
        try:
            assert again.shop().find_charge() == Charged("pi_1")
            assert again.shop().charge() == Charged("pi_1")
        finally:
            again.close()


@pytest.mark.parametrize(
    ("money", "units"),
    [
        (Money(1000, "EUR"), 1000),
        (Money(12340, "GBP", 3), 1234),
        (Money(7, "USD", 0), 700),
        (Money(500, "JPY", 0), 500),
        (Money(50000, "JPY", 2), 500),
        (Money(1230, "KWD", 3), 1230),
        (Money(123, "KWD", 2), 1230),
        (Money(5, "ISK", 0), 500),
    ],
)
def test_money_is_counted_in_the_providers_unit(money, units):
    assert smallest_unit(money) == units


@pytest.mark.parametrize(
    "money",
    [Money(12345, "GBP", 3), Money(1, "JPY", 2), Money(1234, "KWD", 3), Money(550, "ISK", 2)],
)
def test_money_that_the_provider_cannot_count_is_refused(money):
    with pytest.raises(NotChargeable, match=money.currency):
        smallest_unit(money)


def test_what_cannot_go_back_exactly_is_a_final_no(bank):
    shop = bank.shop()
    assert isinstance(shop.charge(amount=Money(2470, "KWD")), Charged)
    with pytest.raises(RefundRefused, match="is finer than"):
        shop.refund(amount=Money(1235, "KWD"))
    assert shop.refund(key="r2", amount=Money(2470, "KWD")).amount == 2470
