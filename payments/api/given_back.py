"""Whether an order's payment was given back, checked before its parcel is shipped."""

from eventstore.aggregate import stream_name
from eventstore.commands import repository
from payments import payment
from payments.payment import PAYMENT


def is_given_back(order_id: str) -> bool:
    """Read from the log."""
    return payment.is_given_back(repository.load_one(stream_name(PAYMENT.category, order_id)).state)
