"""What the read models of orders and of the catalogue can be asked."""

from django.db.models import QuerySet

from .models import OrderDetails, ProductView


def get_order_details(order_id: str) -> OrderDetails | None:
    return OrderDetails.objects.filter(order_id=order_id).first()


def list_orders() -> QuerySet[OrderDetails]:
    return OrderDetails.objects.all()


def list_customer_orders(customer_id: str) -> QuerySet[OrderDetails]:
    return OrderDetails.objects.filter(customer_id=customer_id)


def get_customer_of(order_id: str) -> str | None:
    """Whose order it is."""
    return OrderDetails.objects.filter(order_id=order_id).values_list("customer_id", flat=True).first()


def get_product(sku: str) -> ProductView | None:
    return ProductView.objects.filter(sku=sku).first()


def list_products() -> QuerySet[ProductView]:
    return ProductView.objects.all()
