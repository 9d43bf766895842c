"""Reconciliation finds the differences planted between the log and the provider's book."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command

from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from payments import reconciliation
from payments.commands import ProcessPayment, RefundPart, RefundPayment
from payments.gateway.port import MoneyMoved
from payments.gateway.sandbox import SandboxGateway
from payments.models import SandboxEntry

pytestmark = pytest.mark.django_db(transaction=True)

TEN = Money(1000, "EUR")
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def book():
    """Orders of every kind, in agreement with the provider's book."""
    for order_id in ("paid", "declined", "parts", "back"):
        bus.dispatch(
            ProcessPayment(order_id, TEN, "tok_declined" if order_id == "declined" else "tok_visa")
        )
    bus.dispatch(ProcessPayment("free", TEN.of(0), "tok_visa"))
    drain()
    bus.dispatch(RefundPart("parts", "r1", TEN.of(300), "one came back"))
    bus.dispatch(RefundPayment("back", "cancelled"))
    bus.dispatch(RefundPayment("declined", "cancelled"))
    drain()
    return SandboxEntry.objects


def differences(since=LONG_AGO):
    return [
        each and each.order_id
        for each in reconciliation.differences(SandboxGateway(late=0.0), since=since)
    ]


def test_where_both_say_the_same_nothing_is_found(capsys):
    assert differences() == [None] * 4
    call_command("reconcile_payments")
    assert capsys.readouterr().out == "4 orders agree with the provider's book.\n"


def test_a_charge_that_the_provider_does_not_have(book):
    book.get(order_id="paid").delete()
    assert differences() == ["paid", None, None, None]


def test_an_amount_that_is_another(book):
    book.filter(order_id="parts", kind="refund").update(asked=301)
    assert differences() == [None, None, "parts", None]


def test_money_that_was_taken_under_a_key_that_we_never_gave(book):
    twice = book.get(order_id="back", kind="charge")
    twice.pk = "a key of nobody's"
    twice.save(force_insert=True)
    assert differences() == [None, None, None, "back"]


def test_money_that_was_taken_though_we_were_told_that_it_was_not(book):
    book.filter(order_id="declined").update(done_at=1)
    (found,) = filter(None, reconciliation.differences(SandboxGateway(), since=LONG_AGO))
    assert (found.order_id, found.ours, found.theirs) == (
        "declined",
        MoneyMoved(0, 0),
        MoneyMoved(10, 0),
    )


def test_what_is_under_way_is_left_for_the_next_time(book):
    bus.dispatch(RefundPart("parts", "r2", TEN.of(100), "another came back"))
    bus.dispatch(ProcessPayment("new", TEN, "tok_visa"))
    book.filter(order_id="parts").delete()
    assert differences() == [None] * 3
    drain()
    assert differences() == [None, None, "parts", None, None]


def test_what_moves_while_it_is_looked_at_is_left_for_the_next_time(monkeypatch):
    class Refunding(SandboxGateway):
        def moved(self, *, order_id, currency):
            if order_id == "paid":
                bus.dispatch(RefundPayment("paid", "cancelled"))
                drain()
            return super().moved(order_id=order_id, currency=currency)

    assert [*reconciliation.differences(Refunding(), since=LONG_AGO)] == [None] * 3


def test_only_what_is_of_late_is_asked_for():
    assert differences(since=datetime.now(UTC) + timedelta(hours=1)) == []


def test_a_provider_that_does_not_answer_is_no_agreement(book, monkeypatch, capsys):
    def silent(self, *, order_id, currency):
        raise TimeoutError("nothing came")

    monkeypatch.setattr(SandboxGateway, "moved", silent)
    with pytest.raises(CommandError, match="4 of 4 orders differ"):
        call_command("reconcile_payments")
    assert "did not answer: TimeoutError: nothing came" in capsys.readouterr().out


def test_for_programs_each_difference_is_a_line(book, capsys):
    book.get(order_id="paid").delete()
    with pytest.raises(CommandError, match="1 of 4"):
        call_command("reconcile_payments", "--json")
    difference = json.loads(capsys.readouterr().out)
    assert (difference["order_id"], difference["theirs"]["taken"]) == ("paid", "0")
