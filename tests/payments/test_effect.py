"""A final refusal of the gateway is an answer: it does not hold back later calls."""

import pytest

from eventstore import log
from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
from payments.commands import RefundPayment
from payments.events import (
    PartRefundLapsed,
    PartRefundRequested,
    PaymentCompleted,
    PaymentRefunded,
    PaymentRequested,
)

EURO = Money(100, "EUR")


@pytest.mark.django_db(transaction=True)
def test_a_part_that_the_provider_refuses_lapses_and_the_whole_goes_back():
    log.append("payment-o1", [PaymentRequested("o1", EURO, "tok_visa")], expected=log.NO_STREAM)
    drain()
    assert isinstance(list(log.read_stream("payment-o1"))[-1].body, PaymentCompleted)
    # More than the provider has left, as after a manual refund.
    impossible = PartRefundRequested("o1", "r1", Money(150, "EUR"), "return")
    log.append("payment-o1", [impossible], expected=log.STREAM_EXISTS)
    drain()
    bus.dispatch(RefundPayment("o1", "cancelled"))
    drain()
    happened = [message.body for message in log.read_stream("payment-o1")]
    assert isinstance(happened[-3], PartRefundLapsed)
    assert "exceeds the 100" in happened[-3].reason
    assert happened[-1].amount == EURO
    assert isinstance(happened[-1], PaymentRefunded)
