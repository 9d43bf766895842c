"""The payment of an order, for its customer and staff; all payments, for staff."""

from collections.abc import Callable

from django.db.models import QuerySet
from rest_framework import serializers

from access.authorization import Staff, may_touch, owns
from eventstore.api.queries import MomentParameters, PageParameters, PagesView, RowView
from eventstore.api.serializers import Answer, Choice, MoneyOf, OpenChoice
from payments.models import PaymentView

STATUSES = (
    "REQUESTED",
    "COMPLETED",
    "FAILED",
    "REFUNDING",
    "PARTLY_REFUNDED",
    "REFUNDED",
    "VOIDED",
    "DISPUTED",
    "CHARGED_BACK",
)


class PaymentAnswer(Answer):
    order_id = serializers.CharField()
    status = OpenChoice(STATUSES)
    amount = MoneyOf("amount")
    refunded = MoneyOf("refunded")
    method = serializers.CharField()
    reference = serializers.CharField()
    reason = serializers.CharField()


class PaymentsParameters(PageParameters):
    status = Choice(STATUSES, required=False)


class PaymentDetailsView(RowView):
    """The payment of an order, now or at an earlier version or time."""

    serializer_class = PaymentAnswer
    model, parameters = PaymentView, MomentParameters
    # Order id -> customer id, which payments do not know; set in the URL configuration.
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
    """Payments, the newest first, by the time of the first event. For staff."""

    permission_classes = [Staff]
    serializer_class = PaymentAnswer
    parameters = PaymentsParameters
    key, moment, descending = "order_id", "created_at", True

    def rows(self, status: str | None = None) -> QuerySet[PaymentView]:
        rows = PaymentView.objects.all()
        return rows if status is None else rows.filter(status=status)
