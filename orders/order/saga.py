"""The saga: an order is paid, reserved, shipped, confirmed; what goes wrong undoes what went
before, in reverse.

A step that does not answer in time is asked once more, then undone; a step back is asked again, and
in the end for a person's attention. What is owed is never called done. Facts from outside that do
not fit call for attention too. docs/guide/matrix.md has what becomes of each command and fact in
each state.
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
from payments.commands import ProcessPayment, RefundPayment, decides_within
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

# Longer than the gateways' own tries take, so that a deadline says that something is wrong, not
# slow.
PATIENCE = timedelta(minutes=15)
ASKED_AGAIN_FORWARD, ASKED_AGAIN_BACK = 1, 3


class Fulfilment(Attentive, frozen=True):
    """payment, inventory, shipment: whether there is something of it to undo.

    order: open; confirming, as soon as it may be confirmed any moment; confirmed, cancelled or
    refunding. asked_again: how often the present step was. left: the parcel of a refunded order had
    left before, so its goods are not undone. strayed: it left while it was being called off.
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


# The way forward: each step begins when the one before has answered, and an answer out of its turn
# changes nothing.


def order_placed(saga: Fulfilment, event: OrderPlaced) -> Reaction:
    lines = tuple(StockLine(line.sku, line.quantity) for line in event.lines)
    begun = replace(
        saga,
        order_id=event.order_id,
        lines=lines,
        address=event.address,
        total=event.total,
        method=event.payment_method,
        payment=True,
    )
    return _step(begun, "PAYMENT_PENDING")


def payment_completed(saga: Fulfilment, event: PaymentCompleted) -> Reaction:
    if saga.status != "PAYMENT_PENDING":
        return _waiting(saga)
    if not saga.lines:
        return _confirm(saga)
    return _step(replace(saga, inventory=True), "INVENTORY_PENDING")


def inventory_reserved(saga: Fulfilment, event: InventoryReserved) -> Reaction:
    if saga.status != "INVENTORY_PENDING":
        return _waiting(saga)
    return _step(replace(saga, shipment=True), "SHIPPING_PENDING")


def shipment_created(saga: Fulfilment, event: ShipmentCreated) -> Reaction:
    return _confirm(saga) if saga.status == "SHIPPING_PENDING" else _waiting(saga)


def order_confirmed(saga: Fulfilment, event: OrderConfirmed) -> Reaction:
    return Reaction(replace(saga, status="COMPLETED", order="confirmed"))


def _confirm(saga: Fulfilment) -> Reaction:
    return _step(replace(saga, order="confirming"), "CONFIRMING")


def _step(saga: Fulfilment, status: str) -> Reaction:
    return _ask(replace(saga, status=status, asked_again=0))


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


def order_refund_requested(saga: Fulfilment, event: OrderRefundRequested) -> Reaction:
    refunding = replace(saga, order="refunding", reason=event.reason)
    return _undo(refunding if event.recalled else _goods_are_out(refunding))


def shipment_cancelled(saga: Fulfilment, event: ShipmentCancelled) -> Reaction:
    return _undone(saga, "shipment")


def inventory_released(saga: Fulfilment, event: InventoryReleased) -> Reaction:
    return _undone(saga, "inventory")


def payment_refunded(saga: Fulfilment, event: PaymentRefunded) -> Reaction:
    return _undone(saga, "payment")


def payment_voided(saga: Fulfilment, event: PaymentVoided) -> Reaction:
    return _undone(saga, "payment")


def command_refused(saga: Fulfilment, event: CommandRefused) -> Reaction:
    """Of its confirmation and its cancellation the order takes one; that one is heard, and decides
    how it goes on."""
    if event.command in ("orders.confirm_order", "orders.cancel_order"):
        return _waiting(saga)
    if event.command == "shipping.create_shipment":
        return _beside(saga, "a parcel left that was never booked")
    if event.command == "shipping.cancel_shipment":
        return _shipment_stands(saga, event)
    return _call_for_attention(replace(saga, reason=f"{event.command} was refused: {event.code}"))


def _shipment_stands(saga: Fulfilment, refused: CommandRefused) -> Reaction:
    """Who refunds a parcel that has left, means the customer to keep it; one that leaves meanwhile
    was to stay here."""
    if not saga.shipment:
        return _waiting(saga)
    if saga.order == "refunding" and not saga.strayed:
        return _undo(_goods_are_out(saga))
    return _call_for_attention(
        replace(saga, reason=f"{refused.command} was refused: {refused.code}")
    )


def _goods_are_out(saga: Fulfilment) -> Fulfilment:
    return replace(saga, shipment=False, inventory=False, left=True)


def _undone(saga: Fulfilment, step: str, reason: str = "") -> Reaction:
    """Note that there is nothing (more) to undo of a step, and go on with the one before it.

    Money that goes back after the end, out of goodwill or for what was returned, undoes nothing of
    the order.
    """
    if saga.status == "COMPLETED" or not getattr(saga, step):
        return _waiting(saga)
    return _undo(replace(saga, **{step: False}, reason=saga.reason or reason))


def _undo(saga: Fulfilment) -> Reaction:
    if _next_undo(saga) is None:
        return Reaction(replace(saga, status="COMPENSATED"))
    return _step(saga, "COMPENSATING")


def _next_undo(saga: Fulfilment) -> Command | None:
    match _last_done(saga):
        case "shipment":
            return CancelShipment(saga.order_id, saga.reason)
        case "inventory":
            return ReleaseInventory(saga.order_id, saga.lines)
        case "payment":
            return RefundPayment(saga.order_id, saga.reason)
        case "order":
            return CancelOrder(saga.order_id, saga.reason)
    return None


def _last_done(saga: Fulfilment) -> str | None:
    """Of what is left to undo. An order that may be confirmed any moment comes first: nothing of it
    may be undone."""
    if saga.order == "confirming":
        return "order"
    steps = {"shipment": saga.shipment, "inventory": saga.inventory, "payment": saga.payment}
    steps["order"] = saga.order == "open"
    return next((step for step, stands in steps.items() if stands), None)


# Facts from outside: recorded whatever we believe, and what does not fit calls for a person.


def parcel_left(saga: Fulfilment, event: ShipmentShipped | ShipmentDelivered) -> Reaction:
    """The answer to its booking may still be on its way. While it is being called off, goods and
    money stay."""
    if saga.left or saga.status == "SHIPPING_PENDING" or saga.order in ("confirming", "confirmed"):
        return _waiting(saga)
    if saga.shipment:
        return _call_for_attention(replace(saga, strayed=True, fact="the parcel has left"))
    return _beside(saga, "a parcel left that is not booked")


def shipment_disowned(saga: Fulfilment, event: ShipmentDisowned) -> Reaction:
    if saga.status != "SHIPPING_PENDING":
        return _waiting(saga)
    return _call_for_attention(
        replace(saga, fact=f"the carrier took a parcel that it refuses: {event.reason}")
    )


def shipment_lost(saga: Fulfilment, event: ShipmentLost) -> Reaction:
    return _parcel_is_gone(
        saga, replace(saga, shipment=False, inventory=False), "the parcel is lost"
    )


def shipment_returned(saga: Fulfilment, event: ShipmentReturned) -> Reaction:
    """Goods that were the customer's to keep are here again, and still reserved."""
    if saga.left:
        return _beside(saga, "the carrier brought the parcel of a refunded order back")
    return _parcel_is_gone(
        saga, replace(saga, shipment=False), "the carrier brought the parcel back"
    )


def _parcel_is_gone(saga: Fulfilment, gone: Fulfilment, fact: str) -> Reaction:
    """An order that is being undone no longer waits for it; of any other it is for a person to say
    what now."""
    if saga.left or saga.status == "COMPENSATED":
        return _waiting(saga)
    if saga.status in BACK and saga.order != "confirming":
        return _undo(gone) if saga.shipment else _waiting(saga)
    return _beside(gone if saga.shipment else saga, fact)


def late_payment_completed(saga: Fulfilment, event: LatePaymentCompleted) -> Reaction:
    """It goes back as any payment of an undone order does, and a person is told that it came."""
    reaction = _undo(replace(saga, payment=True))
    return attention.call(reaction, "the payment came after it had failed")


def payment_refunded_outside(saga: Fulfilment, event: PaymentRefundedOutside) -> Reaction:
    return _beside(saga, f"{event.amount} was given back at the provider: {event.reference}")


def payment_disputed(saga: Fulfilment, event: PaymentDisputed) -> Reaction:
    return _beside(saga, f"{event.amount} is disputed: {event.reference}, {event.reason}")


def dispute_closed(saga: Fulfilment, event: DisputeClosed) -> Reaction:
    """Won, the money is here again; of an order that is undone it is owed back."""
    if event.won and saga.order in ("cancelled", "refunding"):
        return _beside(saga, f"{event.amount} came back when a dispute was won: {event.reference}")
    return _waiting(saga)


def _beside(saga: Fulfilment, fact: str) -> Reaction:
    return attention.call(_waiting(saga), fact)


# Waiting: what is owed at present, how long for, and what a person may do about it.


def deadline_passed(saga: Fulfilment, event: DeadlinePassed) -> Reaction:
    if not _is_waiting(saga):
        return Reaction(saga)
    if saga.status == "COMPENSATING":
        return (
            _ask_again(saga) if saga.asked_again < ASKED_AGAIN_BACK else _call_for_attention(saga)
        )
    if saga.asked_again < ASKED_AGAIN_FORWARD:
        return _ask_again(saga)
    return _undo(replace(saga, reason=f"no answer: {saga.status}"))


def intervened(saga: Fulfilment, event: Intervened) -> Reaction:
    """A person asks again, turns back, or takes the present step back as done, having seen to it by
    other means."""
    if event.action == "retry" and _outgoing(saga):
        return _ask_again(saga)
    if event.action == "compensate" and saga.status in FORWARD:
        return _undo(replace(saga, reason=f"by {event.who}: {event.reason}"))
    # What the order will say of itself, nobody can say for it.
    if event.action == "skip" and saga.status in BACK and saga.order != "confirming":
        done = _last_done(saga)
        return _undo(
            replace(saga, **{done: "cancelled" if done == "order" else False}) if done else saga
        )
    return _waiting(saga)


def _outgoing(saga: Fulfilment) -> Command | None:
    """The command whose answer the saga waits for."""
    match saga.status:
        case "PAYMENT_PENDING":
            return ProcessPayment(saga.order_id, saga.total, saga.method)
        case "INVENTORY_PENDING":
            return ReserveInventory(saga.order_id, saga.lines)
        case "SHIPPING_PENDING":
            return CreateShipment(saga.order_id, saga.address)
        case "CONFIRMING":
            return ConfirmOrder(saga.order_id)
        case "COMPENSATING" | "NEEDS_ATTENTION":
            return _next_undo(saga)
    return None


def _ask(saga: Fulfilment) -> Reaction:
    command = _outgoing(saga)
    return Reaction(saga, [command] if command else [], deadline=_patience(saga))


def _ask_again(saga: Fulfilment) -> Reaction:
    status = "COMPENSATING" if saga.status == "NEEDS_ATTENTION" else saga.status
    return _ask(replace(saga, status=status, asked_again=saga.asked_again + 1))


def _waiting(saga: Fulfilment) -> Reaction:
    """Nothing changes; while an answer is owed, there is a deadline for it."""
    return Reaction(saga, deadline=_patience(saga) if _is_waiting(saga) else None)


def _patience(saga: Fulfilment) -> timedelta:
    """A payment takes as long as its method does; no goods are held meanwhile. Asked again, it
    should know by now."""
    if saga.status == "PAYMENT_PENDING" and not saga.asked_again:
        return max(PATIENCE, decides_within(saga.method))
    return PATIENCE


def _is_waiting(saga: Fulfilment) -> bool:
    return saga.status in FORWARD or saga.status == "COMPENSATING"


def _call_for_attention(saga: Fulfilment) -> Reaction:
    return Reaction(replace(saga, status="NEEDS_ATTENTION"))


FORWARD = ("PAYMENT_PENDING", "INVENTORY_PENDING", "SHIPPING_PENDING", "CONFIRMING")
BACK = ("COMPENSATING", "NEEDS_ATTENTION")

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
    react=attention.watched(REACT, _waiting),
)
