"""The saga of an order: pay, reserve, ship, confirm. A failure undoes the earlier steps in reverse.

A step forward that does not answer in time is retried once, then undone. A step back is retried
three times; then the saga needs attention. No step counts as undone before its answer has come.
A fact from outside that does not fit the process needs attention too.

docs/guide/matrix.md lists the outcome of each command and each fact in each state.
"""

from datetime import timedelta
from operator import attrgetter

from eventstore.messages import Command, CommandRefused, DeadlinePassed, Event, Intervened, replace
from eventstore.money import Money
from eventstore.sagas import attention
from eventstore.sagas.attention import Attentive
from eventstore.subscriptions import Reaction, Saga
from inventory.commands import ReleaseInventory, ReserveInventory, StockLine
from inventory.events import InventoryReleased, InventoryReservationFailed, InventoryReserved
from orders.commands import CancelOrder, ConfirmOrder
from orders.events import OrderCancelled, OrderConfirmed, OrderPlaced, OrderRefundRequested
from payments.commands import ELSEWHERE, ProcessPayment, RefundPayment, decides_within
from payments.events import (
    DisputeClosed,
    LatePaymentCompleted,
    PaymentCompleted,
    PaymentDisputed,
    PaymentFailed,
    PaymentRefunded,
    PaymentRefundedOutside,
    PaymentVoided,
)
from shipping.commands import Address, CancelShipment, CreateShipment
from shipping.events import (
    ShipmentCancelled,
    ShipmentCreated,
    ShipmentDelivered,
    ShipmentDisowned,
    ShipmentLost,
    ShipmentRefused,
    ShipmentReturned,
    ShipmentShipped,
)

# Longer than all tries of a gateway, so that a passed deadline means broken and not slow.
PATIENCE = timedelta(minutes=15)
RETRIES_FORWARD, RETRIES_BACK = 1, 3


class Fulfilment(Attentive, frozen=True):
    """payment, inventory, shipment: whether the step has something to undo.

    order: open; confirming, from the moment that the confirmation is sent; confirmed, cancelled or
    refunding. asked_again: retries of the present step. left: the parcel left before the refund, so
    the customer keeps the goods. strayed: the parcel left while it was being recalled.
    """

    status: str = "STARTED"
    order_id: str = ""
    order: str = "open"
    payment: bool = False
    inventory: bool = False
    shipment: bool = False
    lines: tuple[StockLine, ...] = ()
    address: Address = Address()
    total: Money = Money(0, "XXX")
    method: str = ""
    reason: str = ""
    asked_again: int = 0
    left: bool = False
    strayed: bool = False


# The way forward: each step begins when the one before has answered. An answer to any other step
# changes nothing.


def order_placed(saga: Fulfilment, event: OrderPlaced) -> Reaction:
    lines = tuple(StockLine(line.sku, line.quantity) for line in event.lines)
    started = replace(
        saga,
        order_id=event.order_id,
        lines=lines,
        address=event.address,
        total=event.total,
        method=event.payment_method,
        payment=True,
    )
    return _begin(started, "PAYMENT_PENDING")


def payment_completed(saga: Fulfilment, event: PaymentCompleted) -> Reaction:
    if saga.status != "PAYMENT_PENDING":
        return _wait(saga)
    if not saga.lines:
        return _confirm(saga)
    return _begin(replace(saga, inventory=True), "INVENTORY_PENDING")


def inventory_reserved(saga: Fulfilment, event: InventoryReserved) -> Reaction:
    if saga.status != "INVENTORY_PENDING":
        return _wait(saga)
    return _begin(replace(saga, shipment=True), "SHIPPING_PENDING")


def shipment_created(saga: Fulfilment, event: ShipmentCreated) -> Reaction:
    return _confirm(saga) if saga.status == "SHIPPING_PENDING" else _wait(saga)


def order_confirmed(saga: Fulfilment, event: OrderConfirmed) -> Reaction:
    return Reaction(replace(saga, status="COMPLETED", order="confirmed"))


def _confirm(saga: Fulfilment) -> Reaction:
    return _begin(replace(saga, order="confirming"), "CONFIRMING")


def _begin(saga: Fulfilment, status: str) -> Reaction:
    return _send(replace(saga, status=status, asked_again=0))


# The way back: one step at a time, the last one first. Each answer leads to the next step.


def payment_failed(saga: Fulfilment, event: PaymentFailed) -> Reaction:
    return _mark_undone(saga, "payment", f"payment failed: {event.reason}")


def inventory_failed(saga: Fulfilment, event: InventoryReservationFailed) -> Reaction:
    short = ", ".join(shortage.sku for shortage in event.shortages)
    return _mark_undone(saga, "inventory", f"out of stock: {short}")


def shipment_refused(saga: Fulfilment, event: ShipmentRefused) -> Reaction:
    return _mark_undone(saga, "shipment", f"shipping refused: {event.reason}")


def order_cancelled(saga: Fulfilment, event: OrderCancelled) -> Reaction:
    return _undo(replace(saga, order="cancelled", reason=saga.reason or event.reason))


def order_refund_requested(saga: Fulfilment, event: OrderRefundRequested) -> Reaction:
    refunding = replace(saga, order="refunding", reason=event.reason)
    return _undo(refunding if event.recalled else _leave_goods_with_customer(refunding))


def shipment_cancelled(saga: Fulfilment, event: ShipmentCancelled) -> Reaction:
    return _mark_undone(saga, "shipment")


def inventory_released(saga: Fulfilment, event: InventoryReleased) -> Reaction:
    return _mark_undone(saga, "inventory")


def payment_refunded(saga: Fulfilment, event: PaymentRefunded) -> Reaction:
    return _mark_undone(saga, "payment")


def payment_voided(saga: Fulfilment, event: PaymentVoided) -> Reaction:
    return _mark_undone(saga, "payment")


def command_refused(saga: Fulfilment, event: CommandRefused) -> Reaction:
    """The order accepts either its confirmation or its cancellation. The event of the accepted one
    decides how the saga goes on."""
    if event.command in ("orders.confirm_order", "orders.cancel_order"):
        return _wait(saga)
    if event.command == "shipping.create_shipment":
        return _alert(saga, "a parcel left that was never booked")
    if event.command == "shipping.cancel_shipment":
        return _parcel_not_recalled(saga, event)
    return _halt(replace(saga, reason=f"{event.command} was refused: {event.code}"))


def _parcel_not_recalled(saga: Fulfilment, refused: CommandRefused) -> Reaction:
    """The parcel has left. The customer keeps the goods of an order that was refunded afterwards; a
    parcel that left during the recall needs attention."""
    if not saga.shipment:
        return _wait(saga)
    if saga.order == "refunding" and not saga.strayed:
        return _undo(_leave_goods_with_customer(saga))
    return _halt(replace(saga, reason=f"{refused.command} was refused: {refused.code}"))


def _leave_goods_with_customer(saga: Fulfilment) -> Fulfilment:
    return replace(saga, shipment=False, inventory=False, left=True)


def _mark_undone(saga: Fulfilment, step: str, reason: str = "") -> Reaction:
    """The step has nothing (more) to undo: go on with the one before it.

    A refund after the end (goodwill, a return) undoes nothing of the order.
    """
    if saga.status == "COMPLETED" or not getattr(saga, step):
        return _wait(saga)
    return _undo(replace(saga, **{step: False}, reason=saga.reason or reason))


def _undo(saga: Fulfilment) -> Reaction:
    if _undo_command(saga) is None:
        return Reaction(replace(saga, status="COMPENSATED"))
    return _begin(saga, "COMPENSATING")


def _undo_command(saga: Fulfilment) -> Command | None:
    match _last_step(saga):
        case "shipment":
            return CancelShipment(saga.order_id, saga.reason)
        case "inventory":
            return ReleaseInventory(saga.order_id, saga.lines)
        case "payment":
            return RefundPayment(saga.order_id, saga.reason)
        case "order":
            return CancelOrder(saga.order_id, saga.reason)
    return None


def _last_step(saga: Fulfilment) -> str | None:
    """The last step that is not undone. An order that is being confirmed comes first: while it may
    become confirmed, none of its steps may be undone."""
    if saga.order == "confirming":
        return "order"
    steps = {"shipment": saga.shipment, "inventory": saga.inventory, "payment": saga.payment}
    steps["order"] = saga.order == "open"
    return next((step for step, is_done in steps.items() if is_done), None)


# Facts from outside: always recorded. One that does not fit the process alerts an operator.


def parcel_left(saga: Fulfilment, event: ShipmentShipped | ShipmentDelivered) -> Reaction:
    """The parcel may leave before the answer to its booking arrives. One that leaves during its
    recall stops the way back: goods and money stay as they are."""
    if saga.left or saga.status == "SHIPPING_PENDING" or saga.order in ("confirming", "confirmed"):
        return _wait(saga)
    if saga.shipment:
        return _halt(replace(saga, strayed=True, fact="the parcel has left"))
    return _alert(saga, "a parcel left that is not booked")


def shipment_disowned(saga: Fulfilment, event: ShipmentDisowned) -> Reaction:
    if saga.status != "SHIPPING_PENDING":
        return _wait(saga)
    return _halt(replace(saga, fact=f"the carrier took a parcel that it refuses: {event.reason}"))


def shipment_lost(saga: Fulfilment, event: ShipmentLost) -> Reaction:
    return _parcel_gone(saga, replace(saga, shipment=False, inventory=False), "the parcel is lost")


def shipment_returned(saga: Fulfilment, event: ShipmentReturned) -> Reaction:
    """The goods of a refunded order, left to the customer, are back here and still reserved."""
    if saga.left:
        return _alert(saga, "the carrier brought the parcel of a refunded order back")
    return _parcel_gone(saga, replace(saga, shipment=False), "the carrier brought the parcel back")


def _parcel_gone(saga: Fulfilment, gone: Fulfilment, fact: str) -> Reaction:
    """An order that is being undone stops waiting for its parcel. For any other order an operator
    decides."""
    if saga.left or saga.status == "COMPENSATED":
        return _wait(saga)
    if saga.status in BACK and saga.order != "confirming":
        return _undo(gone) if saga.shipment else _wait(saga)
    return _alert(gone if saga.shipment else saga, fact)


def late_payment_completed(saga: Fulfilment, event: LatePaymentCompleted) -> Reaction:
    """Refund it, as any payment of an undone order, and alert an operator."""
    refund = _undo(replace(saga, payment=True))
    return attention.call(refund, "the payment came after it had failed")


def payment_refunded_outside(saga: Fulfilment, event: PaymentRefundedOutside) -> Reaction:
    return _alert(saga, f"{event.amount} was refunded at the provider: {event.reference}")


def payment_disputed(saga: Fulfilment, event: PaymentDisputed) -> Reaction:
    return _alert(saga, f"{event.amount} is disputed: {event.reference}, {event.reason}")


def dispute_closed(saga: Fulfilment, event: DisputeClosed) -> Reaction:
    """A won dispute returns the money to us. If the order was undone, it is the customer's."""
    if event.won and saga.order in ("cancelled", "refunding"):
        return _alert(saga, f"{event.amount} came back when a dispute was won: {event.reference}")
    return _wait(saga)


def _alert(saga: Fulfilment, fact: str) -> Reaction:
    return attention.call(_wait(saga), fact)


# Waiting: the pending command, its deadline, and what an operator may do about it.


def deadline_passed(saga: Fulfilment, event: DeadlinePassed) -> Reaction:
    if not _is_waiting(saga):
        return Reaction(saga)
    if saga.status == "COMPENSATING":
        return _retry(saga) if saga.asked_again < RETRIES_BACK else _halt(saga)
    if saga.asked_again < RETRIES_FORWARD:
        return _retry(saga)
    return _undo(replace(saga, reason=f"no answer: {saga.status}"))


def intervened(saga: Fulfilment, event: Intervened) -> Reaction:
    """An operator retries the pending command, turns the order back (compensate), or counts the
    present step back as done, by other means (skip)."""
    if event.action == "retry" and _pending_command(saga):
        return _retry(saga)
    if event.action == "compensate" and saga.status in FORWARD:
        return _undo(replace(saga, reason=f"by {event.who}: {event.reason}"))
    # Whether an order is confirmed is decided by the order alone, not by an operator.
    if event.action == "skip" and saga.status in BACK and saga.order != "confirming":
        step = _last_step(saga)
        return _undo(
            replace(saga, **{step: "cancelled" if step == "order" else False}) if step else saga
        )
    return _wait(saga)


def _pending_command(saga: Fulfilment) -> Command | None:
    """The command that the saga waits for an answer to."""
    match saga.status:
        case "PAYMENT_PENDING":
            return ProcessPayment(saga.order_id, saga.total, saga.method)
        case "INVENTORY_PENDING":
            return ReserveInventory(saga.order_id, saga.lines)
        case "SHIPPING_PENDING":
            return CreateShipment(saga.order_id, saga.address, saga.method == ELSEWHERE)
        case "CONFIRMING":
            return ConfirmOrder(saga.order_id)
        case "COMPENSATING" | attention.NEEDS_ATTENTION:
            return _undo_command(saga)
    return None


def _send(saga: Fulfilment) -> Reaction:
    command = _pending_command(saga)
    return Reaction(saga, [command] if command else [], deadline=_patience(saga))


def _retry(saga: Fulfilment) -> Reaction:
    status = "COMPENSATING" if saga.status == attention.NEEDS_ATTENTION else saga.status
    return _send(replace(saga, status=status, asked_again=saga.asked_again + 1))


def _wait(saga: Fulfilment) -> Reaction:
    """Nothing changes. While an answer is pending, its deadline is set again."""
    return Reaction(saga, deadline=_patience(saga) if _is_waiting(saga) else None)


def _patience(saga: Fulfilment) -> timedelta:
    """A payment may take as long as its method does, for no goods are held meanwhile. A retry finds
    a payment that should be decided, and gets the usual time."""
    if saga.status == "PAYMENT_PENDING" and not saga.asked_again:
        return max(PATIENCE, decides_within(saga.method))
    return PATIENCE


def _is_waiting(saga: Fulfilment) -> bool:
    return saga.status in FORWARD or saga.status == "COMPENSATING"


def _halt(saga: Fulfilment) -> Reaction:
    return Reaction(replace(saga, status=attention.NEEDS_ATTENTION))


FORWARD = ("PAYMENT_PENDING", "INVENTORY_PENDING", "SHIPPING_PENDING", "CONFIRMING")
BACK = ("COMPENSATING", attention.NEEDS_ATTENTION)

REACT: dict[type[Event], attention.React] = {
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
    OrderRefundRequested: order_refund_requested,
    ShipmentShipped: parcel_left,
    ShipmentDelivered: parcel_left,
    ShipmentDisowned: shipment_disowned,
    ShipmentLost: shipment_lost,
    ShipmentReturned: shipment_returned,
    LatePaymentCompleted: late_payment_completed,
    PaymentRefundedOutside: payment_refunded_outside,
    PaymentDisputed: payment_disputed,
    DisputeClosed: dispute_closed,
    CommandRefused: command_refused,
    DeadlinePassed: deadline_passed,
    Intervened: intervened,
}

FULFILMENT = Saga(
    initial=Fulfilment(),
    key=attrgetter("order_id"),
    react=attention.watched(REACT, _wait),
)
