"""Keys of requests to providers and of clients derive from data that is neither lost nor
repeated."""

import pytest

from eventstore import log
from eventstore.commands import bus, repository
from eventstore.money import Money
from eventstore.testing import drain
from payments.commands import ProcessPayment, RefundPart, RefundPayment
from payments.models import SandboxEntry
from shipping.commands import Address, CreateShipment
from shipping.models import SandboxParcel

from .losing import last, lose_behind

pytestmark = pytest.mark.django_db(transaction=True)

TEN = Money(1000, "EUR")


def test_a_charge_whose_record_was_lost_is_not_made_twice():
    before = last()
    for _ in range(2):
        bus.dispatch(ProcessPayment("o-1", TEN, "tok_visa"))
        drain()
        lose_behind(before)
        repository.forget()  # like a process that has never loaded it
    assert [(each.kind, each.amount) for each in SandboxEntry.objects.all()] == [("charge", 1000)]


def test_nor_is_a_refund():
    bus.dispatch(ProcessPayment("o-1", TEN, "tok_visa"))
    drain()
    before = last()
    for _ in range(2):
        bus.dispatch(RefundPart("o-1", "r-1", TEN.of(300), "one came back"))
        drain()
        bus.dispatch(RefundPayment("o-1", "cancelled"))
        drain()
        events = [type(event.body).__name__ for event in log.read_stream("payment-o-1")]
        assert events[-2:] == ["RefundRequested", "PaymentRefunded"]
        lose_behind(before)
        repository.forget()  # like a process that has never loaded it
    assert sorted(each.asked for each in SandboxEntry.objects.filter(kind="refund")) == [300, 700]


def test_nor_is_a_parcel_booked_twice():
    before = last()
    for _ in range(2):
        bus.dispatch(CreateShipment("o-1", Address("Ada")))
        drain()
        lose_behind(before)
        repository.forget()  # like a process that has never loaded it
    assert SandboxParcel.objects.count() == 1
