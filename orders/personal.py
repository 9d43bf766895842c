"""What orders knows of a person: what they pay by, and where they live; an address itself is
shipping's to declare.

A customer's id is not hidden: it is what leads support to their orders, and says nothing by itself.
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
