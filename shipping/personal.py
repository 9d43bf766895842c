"""The personal data of shipping: addresses."""

from .commands import Address
from .models import ShipmentView

PERSONAL = {
    Address: ("name", "street", "city", "postcode", "country"),
    ShipmentView: ("address",),
}
