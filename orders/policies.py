"""Orders' part of the choreographed process: confirm or cancel an order by what others announce."""

from operator import attrgetter

from eventstore.messages import Announced, CommandRefused, DeadlinePassed, State, Value
from eventstore.subscriptions import Reaction, Saga
from orders.commands import CancelOrder, ConfirmOrder
from payments.commands import AT_ONCE, decides_within


class Line(Value, frozen=True):
    sku: str


class OrderPlaced(Announced, frozen=True):
    order_id: str
    payment_method: str


class PaymentCompleted(Announced, frozen=True):
    order_id: str


class PaymentFailed(Announced, frozen=True):
    order_id: str
    reason: str


class InventoryReserved(Announced, frozen=True):
    order_id: str
    lines: tuple[Line, ...]


class InventoryReservationFailed(Announced, frozen=True):
    order_id: str
    shortages: tuple[Line, ...]


class ShipmentCreated(Announced, frozen=True):
    order_id: str


class ShipmentRefused(Announced, frozen=True):
    order_id: str
    reason: str


class Ordering(State, frozen=True):
    """status: open, unpaid, paid, confirming or cancelling."""

    status: str = "open"


def order_placed(ordering: Ordering, event: OrderPlaced) -> Reaction:
    """Wait as long as the orchestrated process does: the time of the payment method, and one
    retry."""
    return Reaction(Ordering("unpaid"), deadline=decides_within(event.payment_method) + AT_ONCE)


def payment_completed(ordering: Ordering, event: PaymentCompleted) -> Reaction:
    return Reaction(Ordering("paid") if ordering.status == "unpaid" else ordering)


def deadline_passed(ordering: Ordering, event: DeadlinePassed) -> Reaction:
    """Cancel an order that is not paid in time. Payments refund a payment that arrives later."""
    if ordering.status != "unpaid":
        return Reaction(ordering)
    return _cancel(event.key, "no answer: payment")


def payment_failed(ordering: Ordering, event: PaymentFailed) -> Reaction:
    return _cancel(event.order_id, f"payment failed: {event.reason}")


def inventory_reserved(ordering: Ordering, event: InventoryReserved) -> Reaction:
    """An order without goods has nothing to ship: confirm it now."""
    return Reaction(ordering) if event.lines else _confirm(event.order_id)


def inventory_failed(ordering: Ordering, event: InventoryReservationFailed) -> Reaction:
    short = ", ".join(line.sku for line in event.shortages)
    return _cancel(event.order_id, f"out of stock: {short}")


def shipment_created(ordering: Ordering, event: ShipmentCreated) -> Reaction:
    return _confirm(event.order_id)


def shipment_refused(ordering: Ordering, event: ShipmentRefused) -> Reaction:
    return _cancel(event.order_id, f"shipping refused: {event.reason}")


def _confirm(order_id: str) -> Reaction:
    return Reaction(Ordering("confirming"), [ConfirmOrder(order_id)])


def _cancel(order_id: str, reason: str) -> Reaction:
    return Reaction(Ordering("cancelling"), [CancelOrder(order_id, reason)])


POLICY = Saga(
    initial=Ordering(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        PaymentCompleted: payment_completed,
        DeadlinePassed: deadline_passed,
        PaymentFailed: payment_failed,
        InventoryReserved: inventory_reserved,
        InventoryReservationFailed: inventory_failed,
        ShipmentCreated: shipment_created,
        ShipmentRefused: shipment_refused,
        # The customer cancelled the order first. Its event reaches all contexts.
        CommandRefused: lambda ordering, event: Reaction(ordering),
    },
    contract={
        "orders.order_placed": OrderPlaced,
        "payments.payment_completed": PaymentCompleted,
        "payments.payment_failed": PaymentFailed,
        "inventory.inventory_reserved": InventoryReserved,
        "inventory.inventory_reservation_failed": InventoryReservationFailed,
        "shipping.shipment_created": ShipmentCreated,
        "shipping.shipment_refused": ShipmentRefused,
    },
)
