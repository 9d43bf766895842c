"""The payment of an order, for its customer and staff; all payments, for staff."""

from collections.abc import Callable

from django.db.models import QuerySet
from rest_framework import serializers

from access.authorization import Staff, may_touch, owns
from eventstore.api.queries import MomentParameters, PageParameters, PagesView, RowView
from eventstore.api.serializers import Answer, MoneyOf
from payments.models import PaymentView


class PaymentAnswer(Answer):
    order_id = serializers.CharField()
    status = serializers.CharField()
    amount = MoneyOf("amount")
    refunded = MoneyOf("refunded")
    method = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()


class PaymentsParameters(PageParameters):
    status = serializers.ChoiceField(
        [
            "REQUESTED",
            "COMPLETED",
            "FAILED",
            "REFUNDING",
            "PARTLY_REFUNDED",
            "REFUNDED",
            "VOIDED",
            "DISPUTED",
            "CHARGED_BACK",
        ],
        required=False,
    )


class PaymentDetailsView(RowView):
    """customer_of: order id -> customer id, which payments do not know; set in the URL
    configuration."""

    serializer_class = PaymentAnswer
    model, parameters = PaymentView, MomentParameters
    customer_of: Callable[[str], str | None] | None = None

    def may_see(self, row: PaymentView) -> bool:
        customer = self._customer(row)
        return customer is not None and may_touch(self.request.user, customer)

    def is_own(self, row: PaymentView) -> bool:
        return owns(self.request.user, self._customer(row) or "")

    def _customer(self, row: PaymentView) -> str | None:
        assert self.customer_of is not None, "call as_view(customer_of=...)"
        return self.customer_of(row.order_id)


class PaymentsView(PagesView):
    """The newest first: ids of orders grow with time."""

    permission_classes = [Staff]
    serializer_class = PaymentAnswer
    parameters = PaymentsParameters
    key, descending = "order_id", True

    def rows(self, status: str | None = None) -> QuerySet[PaymentView]:
        rows = PaymentView.objects.all()
        return rows if status is None else rows.filter(status=status)
