"""Queries of the read models of orders, returns, bookings and the catalogue."""

from django.db.models import QuerySet

from eventstore.projections import freshness

from .models import BookingView, OrderDetails, ProductView, ReturnView


def list_orders() -> QuerySet[OrderDetails]:
    return OrderDetails.objects.all()


def list_customer_orders(customer_id: str) -> QuerySet[OrderDetails]:
    return OrderDetails.objects.filter(customer_id=customer_id)


def get_customer_of(order_id: str) -> str | None:
    """The customer of an order; read from the log while the read model does not have the order."""
    known = (
        OrderDetails.objects.filter(order_id=order_id).values_list("customer_id", flat=True).first()
    )
    if known is not None:
        return known
    recorded = freshness.recorded(OrderDetails, order_id)
    return recorded.customer_id if recorded else None


def list_returns() -> QuerySet[ReturnView]:
    return ReturnView.objects.all()


def list_customer_returns(customer_id: str) -> QuerySet[ReturnView]:
    return ReturnView.objects.filter(customer_id=customer_id)


def list_order_returns(order_id: str) -> QuerySet[ReturnView]:
    return ReturnView.objects.filter(order_id=order_id).order_by("requested_at", "return_id")


def list_bookings() -> QuerySet[BookingView]:
    return BookingView.objects.all()


def list_credits_without_sale() -> QuerySet[BookingView]:
    return BookingView.objects.filter(has_no_sale=True)


def list_products() -> QuerySet[ProductView]:
    return ProductView.objects.all()
