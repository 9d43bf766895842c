"""The personal data of orders: payment methods, and the address of an order's read model.

Shipping declares the fields of Address. A customer's id is not hidden: support finds a customer's
orders by it, and alone it says nothing about a person.
"""

from orders import policies
from orders.order.saga import Fulfilment

from .commands import ImportOrder, PlaceOrder
from .events import OrderPlaced
from .models import OrderDetails

PERSONAL = {
    PlaceOrder: ("payment_method",),
    ImportOrder: ("payment_method",),
    OrderPlaced: ("payment_method",),
    Fulfilment: ("method",),
    policies.OrderPlaced: ("payment_method",),
    OrderDetails: ("address",),
}
