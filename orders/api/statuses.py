"""The statuses that the API shows of an order, its parts and its returns."""

ORDER = ("PLACED", "CONFIRMED", "CANCELLED", "REFUNDING", "REFUNDED")
PAYMENT = (
    "NONE",
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
RESERVATION = ("NONE", "RESERVED", "FAILED", "RELEASED")
SHIPMENT = (
    "NONE",
    "REQUESTED",
    "CREATED",
    "REFUSED",
    "CANCELLING",
    "CANCELLED",
    "SHIPPED",
    "DELIVERED",
    "LOST",
    "RETURNED",
)
# Of an order: how much of it came back.
RETURNED = ("NONE", "PARTLY_RETURNED", "RETURNED")
# Of one return.
RETURN = ("REQUESTED", "RECEIVED", "COMPLETED", "CLOSED")
BOOKING = ("CREDIT", "ADJUSTMENT")
