"""Payments' part of the choreographed process: charge a placed order, refund an undone one."""

from datetime import timedelta
from operator import attrgetter

from eventstore.messages import (
    Announced,
    CommandRefused,
    DeadlinePassed,
    Event,
    Intervened,
    replace,
)
from eventstore.money import Money
from eventstore.sagas import attention
from eventstore.sagas.attention import Attentive
from eventstore.subscriptions import Reaction, Saga

from .commands import ProcessPayment, RefundPayment
from .events import (
    DisputeClosed,
    LatePaymentCompleted,
    PaymentCompleted,
    PaymentDisputed,
    PaymentRefundedOutside,
)

# How long to wait for the goods of an undone order; then the process needs attention.
PATIENCE = timedelta(hours=1)


class OrderPlaced(Announced, frozen=True):
    order_id: str
    total: Money
    payment_method: str


class OrderCancelled(Announced, frozen=True):
    order_id: str
    reason: str


class OrderRefundRequested(Announced, frozen=True):
    order_id: str
    reason: str
    recalled: bool


class ShipmentShipped(Announced, frozen=True):
    order_id: str


class ShipmentLost(Announced, frozen=True):
    order_id: str


class InventoryReservationFailed(Announced, frozen=True):
    order_id: str


class InventoryReleased(Announced, frozen=True):
    order_id: str


class Paying(Attentive, frozen=True):
    """status: new, asked or cancelled; COMPENSATING while the goods are not back, NEEDS_ATTENTION
    if
    they do not come back in time.

    goods: whether goods are reserved, as for every paid order. reason: of the cancellation. left:
    whether the parcel has left.
    """

    goods: bool = False
    reason: str = ""
    left: bool = False


def order_placed(paying: Paying, event: OrderPlaced) -> Reaction:
    return Reaction(
        Paying(status="asked"), [ProcessPayment(event.order_id, event.total, event.payment_method)]
    )


def payment_completed(paying: Paying, event: PaymentCompleted) -> Reaction:
    """The inventory sees the same events in the same order: if it sees the payment before a
    cancellation, it reserves the goods."""
    return Reaction(replace(paying, goods=True) if paying.status == "asked" else paying)


def goods_undone(paying: Paying, event: InventoryReservationFailed | InventoryReleased) -> Reaction:
    back = replace(paying, goods=False)
    return _refund(event.order_id, back) if paying.status in WAITING else Reaction(back)


def order_cancelled(paying: Paying, event: OrderCancelled) -> Reaction:
    """The last step is undone first, as in the orchestrated process: no refund before the goods are
    back."""
    cancelled = replace(paying, reason=event.reason)
    if paying.goods:
        return Reaction(replace(cancelled, status="COMPENSATING"), deadline=PATIENCE)
    return _refund(event.order_id, cancelled)


def order_refund_requested(paying: Paying, event: OrderRefundRequested) -> Reaction:
    """As for a cancelled order, but the customer keeps goods that left before."""
    refunding = replace(paying, reason=event.reason)
    if paying.goods and event.recalled and not paying.left:
        return Reaction(replace(refunding, status="COMPENSATING"), deadline=PATIENCE)
    return _refund(event.order_id, refunding)


def shipment_shipped(paying: Paying, event: ShipmentShipped) -> Reaction:
    return _wait(replace(paying, left=True))


def shipment_lost(paying: Paying, event: ShipmentLost) -> Reaction:
    """Lost goods do not come back: refund now."""
    return _refund(event.order_id, paying) if paying.status in WAITING else Reaction(paying)


def late_payment_completed(paying: Paying, event: LatePaymentCompleted) -> Reaction:
    """Refund it, and alert an operator."""
    reason = paying.reason or "the payment had failed"
    return attention.call(
        _refund(event.order_id, replace(paying, reason=reason)),
        "the payment came after it had failed",
    )


def payment_refunded_outside(paying: Paying, event: PaymentRefundedOutside) -> Reaction:
    return attention.call(
        _wait(paying), f"{event.amount} was refunded at the provider: {event.reference}"
    )


def payment_disputed(paying: Paying, event: PaymentDisputed) -> Reaction:
    return attention.call(
        _wait(paying), f"{event.amount} is disputed: {event.reference}, {event.reason}"
    )


def dispute_closed(paying: Paying, event: DisputeClosed) -> Reaction:
    """A won dispute returns the money to us. If the order was undone, it is the customer's."""
    if event.won and paying.status != "asked":
        return attention.call(
            _wait(paying), f"{event.amount} came back when a dispute was won: {event.reference}"
        )
    return _wait(paying)


def deadline_passed(paying: Paying, event: DeadlinePassed) -> Reaction:
    return Reaction(
        replace(paying, status=attention.NEEDS_ATTENTION)
        if paying.status == "COMPENSATING"
        else paying
    )


def intervened(paying: Paying, event: Intervened) -> Reaction:
    """An operator has dealt with the goods by other means (skip)."""
    if event.action != "skip" or paying.status not in WAITING:
        return _wait(paying)
    return _refund(event.key, paying)


def _wait(paying: Paying) -> Reaction:
    return Reaction(paying, deadline=PATIENCE if paying.status == "COMPENSATING" else None)


def _refund(order_id: str, paying: Paying) -> Reaction:
    return Reaction(replace(paying, status="cancelled"), [RefundPayment(order_id, paying.reason)])


WAITING = ("COMPENSATING", attention.NEEDS_ATTENTION)

REACT: dict[type[Event], attention.React] = {
    OrderPlaced: order_placed,
    PaymentCompleted: payment_completed,
    InventoryReservationFailed: goods_undone,
    InventoryReleased: goods_undone,
    OrderCancelled: order_cancelled,
    OrderRefundRequested: order_refund_requested,
    ShipmentShipped: shipment_shipped,
    ShipmentLost: shipment_lost,
    LatePaymentCompleted: late_payment_completed,
    PaymentRefundedOutside: payment_refunded_outside,
    PaymentDisputed: payment_disputed,
    DisputeClosed: dispute_closed,
    DeadlinePassed: deadline_passed,
    Intervened: intervened,
    CommandRefused: lambda paying, event: Reaction(paying),
}

POLICY = Saga(
    initial=Paying(),
    key=attrgetter("order_id"),
    react=attention.watched(REACT, _wait),
    contract={
        "orders.order_placed": OrderPlaced,
        "orders.order_cancelled": OrderCancelled,
        "orders.order_refund_requested": OrderRefundRequested,
        "inventory.inventory_reservation_failed": InventoryReservationFailed,
        "inventory.inventory_released": InventoryReleased,
        "shipping.shipment_shipped": ShipmentShipped,
        "shipping.shipment_lost": ShipmentLost,
    },
)
