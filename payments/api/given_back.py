"""Whether an order is paid for, asked by who is about to hand its goods over."""

from eventstore.aggregate import stream_name
from eventstore.commands import repository
from payments import payment
from payments.payment import PAYMENT


def is_given_back(order_id: str) -> bool:
    """From the log, as it stands."""
    return payment.is_given_back(repository.load_one(stream_name(PAYMENT.category, order_id)).state)
