"""The saga: an order is paid, reserved, shipped, confirmed; what goes wrong undoes what went before, in reverse."""

from operator import attrgetter

from eventstore.messages import Command, CommandRefused, State, replace
from eventstore.subscriptions import Reaction, Saga
from inventory.commands import ReleaseInventory, ReserveInventory, StockLine
from inventory.events import InventoryReleased, InventoryReservationFailed, InventoryReserved
from payments.commands import ProcessPayment, RefundPayment
from payments.events import PaymentCompleted, PaymentFailed, PaymentRefunded, PaymentVoided
from shipping.commands import Address, CancelShipment, CreateShipment
from shipping.events import ShipmentCancelled, ShipmentCreated, ShipmentRefused

from .commands import CancelOrder, ConfirmOrder
from .events import OrderCancelled, OrderConfirmed, OrderPlaced


class Fulfilment(State, frozen=True):
    """payment, inventory, shipment: whether there is something of it to undo. order: open, confirmed or cancelled."""

    status: str = "STARTED"
    order_id: str = ""
    order: str = "open"
    payment: bool = False
    inventory: bool = False
    shipment: bool = False
    lines: tuple[StockLine, ...] = ()
    address: Address = Address()
    reason: str = ""


# The way forward: each step begins when the one before has answered, and an answer out of its turn changes nothing.


def order_placed(saga: Fulfilment, event: OrderPlaced) -> Reaction:
    lines = tuple(StockLine(line.sku, line.quantity) for line in event.lines)
    begun = replace(
        saga, status="PAYMENT_PENDING", order_id=event.order_id, payment=True, lines=lines, address=event.address
    )
    return Reaction(begun, [ProcessPayment(event.order_id, event.total, event.payment_method)])


def payment_completed(saga: Fulfilment, event: PaymentCompleted) -> Reaction:
    if saga.status != "PAYMENT_PENDING":
        return Reaction(saga)
    if not saga.lines:
        return _confirm(saga)
    return Reaction(
        replace(saga, status="INVENTORY_PENDING", inventory=True), [ReserveInventory(saga.order_id, saga.lines)]
    )


def inventory_reserved(saga: Fulfilment, event: InventoryReserved) -> Reaction:
    if saga.status != "INVENTORY_PENDING":
        return Reaction(saga)
    return Reaction(
        replace(saga, status="SHIPPING_PENDING", shipment=True), [CreateShipment(saga.order_id, saga.address)]
    )


def shipment_created(saga: Fulfilment, event: ShipmentCreated) -> Reaction:
    return _confirm(saga) if saga.status == "SHIPPING_PENDING" else Reaction(saga)


def order_confirmed(saga: Fulfilment, event: OrderConfirmed) -> Reaction:
    return Reaction(replace(saga, status="COMPLETED", order="confirmed"))


def _confirm(saga: Fulfilment) -> Reaction:
    return Reaction(replace(saga, status="CONFIRMING"), [ConfirmOrder(saga.order_id)])


# The way back: one step at a time, the last one done first; each answer leads to the next.


def payment_failed(saga: Fulfilment, event: PaymentFailed) -> Reaction:
    return _undone(saga, "payment", f"payment failed: {event.reason}")


def inventory_failed(saga: Fulfilment, event: InventoryReservationFailed) -> Reaction:
    short = ", ".join(shortage.sku for shortage in event.shortages)
    return _undone(saga, "inventory", f"out of stock: {short}")


def shipment_refused(saga: Fulfilment, event: ShipmentRefused) -> Reaction:
    return _undone(saga, "shipment", f"shipping refused: {event.reason}")


def order_cancelled(saga: Fulfilment, event: OrderCancelled) -> Reaction:
    return _undo(replace(saga, order="cancelled", reason=saga.reason or event.reason))


def shipment_cancelled(saga: Fulfilment, event: ShipmentCancelled) -> Reaction:
    return _undone(saga, "shipment")


def inventory_released(saga: Fulfilment, event: InventoryReleased) -> Reaction:
    return _undone(saga, "inventory")


def payment_refunded(saga: Fulfilment, event: PaymentRefunded) -> Reaction:
    return _undone(saga, "payment")


def payment_voided(saga: Fulfilment, event: PaymentVoided) -> Reaction:
    return _undone(saga, "payment")


def command_refused(saga: Fulfilment, event: CommandRefused) -> Reaction:
    """An order that was cancelled first cannot be confirmed: its cancellation is heard too, and undoes the rest."""
    if event.command == "orders.confirm_order":
        return Reaction(saga)
    return Reaction(replace(saga, status="FAILED", reason=f"{event.command} was refused: {event.code}"))


def _undone(saga: Fulfilment, step: str, reason: str = "") -> Reaction:
    """Note that there is nothing (more) to undo of a step, and go on with the one before it."""
    if not getattr(saga, step):
        return Reaction(saga)
    return _undo(replace(saga, **{step: False}, reason=saga.reason or reason))


def _undo(saga: Fulfilment) -> Reaction:
    command = _next_undo(saga)
    if command is None:
        return Reaction(replace(saga, status="COMPENSATED"))
    return Reaction(replace(saga, status="COMPENSATING"), [command])


def _next_undo(saga: Fulfilment) -> Command | None:
    if saga.shipment:
        return CancelShipment(saga.order_id, saga.reason)
    if saga.inventory:
        return ReleaseInventory(saga.order_id, saga.lines)
    if saga.payment:
        return RefundPayment(saga.order_id, saga.reason)
    if saga.order == "open":
        return CancelOrder(saga.order_id, saga.reason)
    return None


FULFILMENT = Saga(
    initial=Fulfilment(),
    key=attrgetter("order_id"),
    react={
        OrderPlaced: order_placed,
        PaymentCompleted: payment_completed,
        InventoryReserved: inventory_reserved,
        ShipmentCreated: shipment_created,
        OrderConfirmed: order_confirmed,
        PaymentFailed: payment_failed,
        InventoryReservationFailed: inventory_failed,
        ShipmentRefused: shipment_refused,
        OrderCancelled: order_cancelled,
        ShipmentCancelled: shipment_cancelled,
        InventoryReleased: inventory_released,
        PaymentRefunded: payment_refunded,
        PaymentVoided: payment_voided,
        CommandRefused: command_refused,
    },
)
