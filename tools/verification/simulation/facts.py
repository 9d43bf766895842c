"""Commands and facts that may reach an order at any moment: the columns of docs/guide/matrix.md.

Each is a function of the world and the order's id. It returns the code of a rejection, "" when it
is accepted, or CANNOT_BE when it is impossible in this state.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from eventstore.messages import Command, DeadlinePassed, Intervened
from inventory.commands import Restock, StockLine
from orders.commands import (
    CancelOrder,
    CloseReturn,
    Item,
    PlaceOrder,
    ReceiveReturn,
    RefundOrder,
    RequestReturn,
)
from orders.events import Portion
from orders.order.aggregate import CALLED_OFF
from payments.commands import CompletePayment, FailPayment, RecordDispute, RecordRefund
from payments.events import PaymentRequested
from payments.payment import is_given_back
from shipping.commands import (
    Address,
    DeliverShipment,
    RecordDelivered,
    RecordLost,
    RecordReturned,
    RecordShipped,
    ShipShipment,
)
from shipping.events import ShipmentRequested
from shipping.shipment import LEFT
from tools.verification.simulation.outside import EFFECTS
from tools.verification.simulation.world import Entry, World

TODAY = datetime(2026, 1, 1, tzinfo=UTC)
CANNOT_BE = "cannot be"

Fact = Callable[[World, str], str]


# People, who get a response at once.


def place_again(world: World, order_id: str) -> str:
    return world.dispatch(
        PlaceOrder(order_id, "c1", (Item("A", 1),), Address("Ada"), "tok_visa", TODAY)
    )


def cancel(world: World, order_id: str) -> str:
    return world.dispatch(CancelOrder(order_id, "no more"))


def request_return(world: World, order_id: str) -> str:
    return world.dispatch(
        RequestReturn(f"{order_id}-new", order_id, (Portion(1, 1),), (), "too small", TODAY)
    )


def refund(world: World, order_id: str) -> str:
    return world.dispatch(RefundOrder(order_id, "goodwill"))


def refund_a_charge(world: World, order_id: str) -> str:
    return world.dispatch(
        RequestReturn(f"{order_id}-fee", order_id, (), (Portion(1, 1),), "goodwill", TODAY)
    )


def ship(world: World, order_id: str) -> str:
    """With the checks of the API before the command."""
    parcel = world.state(f"shipment-{order_id}").status
    if parcel == "new":
        return "NotFound"
    is_called_off = world.state(f"order-{order_id}").status in CALLED_OFF
    if parcel not in LEFT and (is_called_off or is_given_back(world.state(f"payment-{order_id}"))):
        return "ShipmentCalledOff"
    rejected = world.dispatch(ShipShipment(order_id))
    if not rejected:
        world.outside.left.add(order_id)
    return rejected


def deliver(world: World, order_id: str) -> str:
    if world.state(f"shipment-{order_id}").status == "new":
        return "NotFound"
    return world.dispatch(DeliverShipment(order_id))


def receive_return(world: World, order_id: str) -> str:
    return world.dispatch(ReceiveReturn(f"{order_id}-r1", order_id, (), TODAY))


def close_return(world: World, order_id: str) -> str:
    return world.dispatch(CloseReturn(f"{order_id}-r1", order_id, "never came"))


def restock_again(world: World, order_id: str) -> str:
    """The command of the return's saga, repeated; impossible without a return."""
    if world.state(f"restocking-{order_id}-r1").status == "new":
        return CANNOT_BE
    return world.dispatch(Restock(f"{order_id}-r1", (StockLine("A", 1),)))


# The payment provider, whose webhooks come through the inbox.


def payment_succeeded(world: World, order_id: str) -> str:
    """Also for a failed payment: then the provider has taken the money after all."""
    return _paid(world, order_id, CompletePayment(order_id, f"ch_{order_id}"))


def payment_failed(world: World, order_id: str) -> str:
    return _paid(world, order_id, FailPayment(order_id, "declined"))


def refunded_outside(world: World, order_id: str) -> str:
    return _refunded_outside(world, order_id, world.outside.kept(order_id))


def partly_refunded_outside(world: World, order_id: str) -> str:
    return _refunded_outside(world, order_id, min(10, world.outside.kept(order_id)))


def disputed(world: World, order_id: str) -> str:
    return _disputed(world, order_id, "")


def dispute_won(world: World, order_id: str) -> str:
    return _disputed(world, order_id, "won")


def dispute_lost(world: World, order_id: str) -> str:
    return _disputed(world, order_id, "lost")


def _paid(world: World, order_id: str, command: Command) -> str:
    """The response to a call in progress, if there is one; otherwise an unsolicited webhook."""
    books = world.outside
    call = _pending(world, "payments.gateway", order_id, PaymentRequested)
    if call is not None:
        key = books.key(call)
        if key not in books.done:
            books.done[key] = command
            _take(world, order_id, command)
        world.enqueue(books.done[key])
        return ""
    if world.state(f"payment-{order_id}").status in ("new", "requested", "voided"):
        return CANNOT_BE
    if books.captured[order_id] == 0:
        _take(world, order_id, command)
    world.enqueue(command)
    return ""


def _take(world: World, order_id: str, command: Command) -> None:
    if isinstance(command, CompletePayment):
        world.outside.captured[order_id] += world.total(order_id)
        world.outside.captures[order_id] += 1


def _refunded_outside(world: World, order_id: str, amount: int) -> str:
    books = world.outside
    if amount <= 0:
        return CANNOT_BE
    books.refunded[order_id] += amount
    books.changed_outside.add(order_id)
    world.enqueue(RecordRefund(order_id, amount, f"re_outside_{order_id}_{world.now}"))
    return ""


def _disputed(world: World, order_id: str, outcome: str) -> str:
    books = world.outside
    if books.kept(order_id) <= 0 and not books.held_back[order_id]:
        return CANNOT_BE
    amount = books.held_back[order_id] or books.kept(order_id)
    books.held_back[order_id] = 0 if outcome == "won" else amount
    books.changed_outside.add(order_id)
    world.enqueue(RecordDispute(order_id, amount, f"dp_{order_id}", "fraudulent", outcome))
    return ""


# The carrier.


def parcel_shipped(world: World, order_id: str) -> str:
    return _carried(world, order_id, RecordShipped(order_id), left=True)


def parcel_delivered(world: World, order_id: str) -> str:
    return _carried(world, order_id, RecordDelivered(order_id), left=True)


def parcel_lost(world: World, order_id: str) -> str:
    return _carried(world, order_id, RecordLost(order_id), left=False)


def parcel_returned(world: World, order_id: str) -> str:
    return _carried(world, order_id, RecordReturned(order_id), left=False)


def _carried(world: World, order_id: str, command: Command, *, left: bool) -> str:
    """The carrier has booked a parcel that it has taken, even if its response is still on its
    way."""
    books = world.outside
    call = _pending(world, "shipping.carrier", order_id, ShipmentRequested)
    if call is not None:
        books.do_once(books.key(call), call.event)
    if left:
        books.left.add(order_id)
    else:
        books.left.discard(order_id)
    world.enqueue(command)
    return ""


# Time and operators.


def deadline_passes(world: World, order_id: str) -> str:
    for (name, key), set_at in list(world.deadlines.items()):
        if key.startswith(order_id):
            del world.deadlines[name, key]
            world.append([Entry(name, key, DeadlinePassed(key, TODAY, set_at))])
    return ""


def retry(world: World, order_id: str) -> str:
    return _intervene(world, order_id, "retry")


def compensate(world: World, order_id: str) -> str:
    return _intervene(world, order_id, "compensate")


def skip(world: World, order_id: str) -> str:
    """The operator has undone the step by other means: the money is refunded, the parcel
    cancelled."""
    return _intervene(world, order_id, "skip")


def discard_a_call(world: World, order_id: str) -> str:
    """Discard the dead letter of a provider that does not respond."""
    for (subscription, stream), queue in world.calls.items():
        if subscription in EFFECTS and stream.endswith(f"-{order_id}") and queue:
            queue.popleft()
            return ""
    return CANNOT_BE


def _intervene(world: World, order_id: str, action: str) -> str:
    for name, key in [each for each in world.running if each[1].startswith(order_id)]:
        world.append([Entry(name, key, Intervened(key, action, "they asked for it", "operator"))])
    return ""


def _pending(world: World, subscription: str, order_id: str, kind: type):
    for queue in (queue for (name, _), queue in world.calls.items() if name == subscription):
        for call in queue:
            if type(call.event) is kind and call.event.order_id == order_id:
                return call
    return None


FACTS: Mapping[str, Fact] = {
    "customer places it again": place_again,
    "customer cancels": cancel,
    "customer asks to send a unit back": request_return,
    "support or finance refunds it": refund,
    "support refunds a charge": refund_a_charge,
    "warehouse ships": ship,
    "warehouse delivers": deliver,
    "warehouse receives the return": receive_return,
    "warehouse closes the return": close_return,
    "the return is restocked again": restock_again,
    "provider: payment succeeded": payment_succeeded,
    "provider: payment failed": payment_failed,
    "provider: refunded there": refunded_outside,
    "provider: partly refunded there": partly_refunded_outside,
    "provider: disputed": disputed,
    "provider: dispute won": dispute_won,
    "provider: dispute lost": dispute_lost,
    "carrier: shipped": parcel_shipped,
    "carrier: delivered": parcel_delivered,
    "carrier: lost": parcel_lost,
    "carrier: brought back": parcel_returned,
    "a deadline passes": deadline_passes,
    "operator: retry": retry,
    "operator: compensate": compensate,
    "operator: skip": skip,
    "operator discards a call": discard_a_call,
}
