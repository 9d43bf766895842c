from eventstore.messages import Command
from eventstore.money import Money


class CreditOrder(Command, frozen=True):
    """The shop has confirmed the order."""

    customer_id: str
    order_id: str
    total: Money


class TakeBackOrder(Command, frozen=True):
    """The shop has cancelled or refunds the order."""

    customer_id: str
    order_id: str


COMMANDS = {
    "loyalty.credit_order": CreditOrder,
    "loyalty.take_back_order": TakeBackOrder,
}
