"""What payments knows of a person: what they pay by."""

from .commands import ProcessPayment
from .events import PaymentRequested
from .models import PaymentView, SandboxEntry
from .payment import Payment
from .policies import OrderPlaced

PERSONAL = {
    ProcessPayment: ("method",),
    PaymentRequested: ("method",),
    Payment: ("method",),
    OrderPlaced: ("payment_method",),
    PaymentView: ("method",),
    SandboxEntry: ("method",),
}
