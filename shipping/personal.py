"""What shipping knows of a person: where they live."""

from .commands import Address
from .models import ShipmentView

PERSONAL = {
    Address: ("name", "street", "city", "postcode", "country"),
    ShipmentView: ("address",),
}
