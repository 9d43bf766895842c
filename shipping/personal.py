"""The personal data of shipping: addresses."""

from . import policies
from .commands import Address
from .models import ShipmentView

PERSONAL = {
    Address: ("name", "street", "city", "postcode", "country"),
    policies.OrderPlaced: ("payment_method",),
    ShipmentView: ("address",),
}
