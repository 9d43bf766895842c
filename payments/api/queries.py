"""The payment of an order, for its customer and for staff."""

from collections.abc import Callable

from rest_framework import serializers

from eventstore.api.queries import RowView
from eventstore.api.roles import may_touch
from eventstore.api.shapes import Answer, MoneyOf
from payments import queries
from payments.models import PaymentView


class PaymentAnswer(Answer):
    order_id = serializers.CharField()
    status = serializers.CharField()
    amount = MoneyOf("amount")
    refunded = MoneyOf("refunded")
    method = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()


class PaymentDetailsView(RowView):
    """customer_of: whose order it is, which payments do not know; given where the URLs are put together."""

    serializer_class = PaymentAnswer
    customer_of: Callable[[str], str | None] | None = None

    def row(self, order_id: str) -> PaymentView | None:
        assert self.customer_of is not None, "say as_view(customer_of=...)"
        customer = self.customer_of(order_id)
        if customer is None or not may_touch(self.request.user, customer):
            return None
        return queries.get_payment(order_id)
