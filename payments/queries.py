"""What the read model of payments can be asked."""

from .models import PaymentView


def get_payment(order_id: str) -> PaymentView | None:
    return PaymentView.objects.filter(order_id=order_id).first()
