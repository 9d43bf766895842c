"""Support and finance give money back."""

from eventstore.api.commands import CommandView, known
from eventstore.api.roles import Refunding
from eventstore.api.shapes import Shape, Text
from payments.commands import RefundPayment
from payments.payment import PAYMENT


class RefundPaymentShape(Shape):
    reason = Text()


class RefundPaymentView(CommandView):
    permission_classes = [Refunding]
    serializer_class = RefundPaymentShape
    subject, asked_at = "order_id", "/api/queries/payments/"

    def command(self, order_id: str, reason: str) -> RefundPayment:
        known(PAYMENT.category, order_id)
        return RefundPayment(order_id, reason)
