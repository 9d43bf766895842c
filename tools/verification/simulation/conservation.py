"""Invariants of an order at rest: money, goods and parcel are where its state says, or an operator
is called.

seen_to: an operator has skipped a step or discarded a call, so these places cannot be checked.
"""

from collections.abc import Iterator

from inventory.events import (
    GoodsRestocked,
    InventoryReleased,
    InventoryReserved,
    StockAdjusted,
    StockReceived,
    StockReleased,
    StockReserved,
    StockReturned,
)
from orders.events import ReturnRequested
from orders.order.aggregate import CALLED_OFF
from payments.events import (
    LatePaymentCompleted,
    PartRefunded,
    PaymentCompleted,
    PaymentRefunded,
    PaymentRefundedOutside,
)
from tools.verification.simulation.world import World

# Statuses of sagas that wait for something, in orchestration or choreography.
WAITING = (
    *("PAYMENT_PENDING", "INVENTORY_PENDING", "SHIPPING_PENDING", "CONFIRMING", "COMPENSATING"),
    *("GOODS_PENDING", "RESTOCKING", "REFUNDING", "COMPLETING", "CLOSING"),
)
MOVES = {StockReceived: 1, StockAdjusted: 1, StockReserved: -1, StockReleased: 1, StockReturned: 1}
TAKEN = (PaymentCompleted, LatePaymentCompleted)
GIVEN_BACK = (PaymentRefunded, PartRefunded, PaymentRefundedOutside)


def check_order(world: World, order_id: str, *, seen_to: bool = False) -> None:
    check_nothing_waits(world, order_id, seen_to=seen_to)
    check_unique_events(world, order_id)
    if not seen_to:
        check_money(world, order_id)
        check_parcel(world, order_id)
        check_goods(world, order_id)


def needs_a_person(world: World, order_id: str) -> bool:
    """An operator is called by a saga, or by a dead letter."""
    is_called = any(state.status == "NEEDS_ATTENTION" for _, state in states_of(world, order_id))
    return is_called or has_dead_letter(world, order_id)


def has_dead_letter(world: World, order_id: str) -> bool:
    return any(
        queue for (_, stream), queue in world.calls.items() if stream.endswith(f"-{order_id}")
    )


def states_of(world: World, order_id: str) -> Iterator[tuple[tuple[str, str], object]]:
    for (name, key), (state, _) in world.running.items():
        if key == order_id or key.startswith(f"{order_id}-"):
            yield (name, key), state


def check_nothing_waits(world: World, order_id: str, *, seen_to: bool = False) -> None:
    for (name, key), state in states_of(world, order_id):
        beneath = getattr(state, "beneath", "") or state.status
        assert beneath not in WAITING, f"{name} of {key} waits for ever: {beneath}"
    order = world.state(f"order-{order_id}").status
    assert order != "placed" or seen_to or needs_a_person(world, order_id), (
        f"{order_id} is neither confirmed nor cancelled, and no operator is called"
    )


def check_unique_events(world: World, order_id: str) -> None:
    kinds = [type(event) for event in _events(world, order_id)]
    for once in (PaymentCompleted, LatePaymentCompleted):
        assert kinds.count(once) <= 1, f"{order_id} has {kinds.count(once)} {once.__name__}"
    books = world.outside
    assert books.captures[order_id] <= 1, f"{order_id} was charged {books.captures[order_id]} times"
    assert books.refunded[order_id] <= books.captured[order_id], (
        f"{order_id} was refunded more than it was charged"
    )


def check_money(world: World, order_id: str) -> None:
    """The provider's book matches the log, and it holds the order's total less its returns."""
    books = world.outside
    if not has_dead_letter(world, order_id):
        taken, given_back = _sum(world, order_id, TAKEN), _sum(world, order_id, GIVEN_BACK)
        assert (taken, given_back) == (books.captured[order_id], books.refunded[order_id]), (
            f"{order_id}: charged and refunded {taken} and {given_back} in the log,"
            f" {books.captured[order_id]} and {books.refunded[order_id]} in the provider's book"
        )
    held, expected = books.kept(order_id), _expected_balance(world, order_id)
    assert held == expected or needs_a_person(world, order_id), (
        f"{order_id}: the provider holds {held}, not {expected}, and no operator is called"
    )


def check_parcel(world: World, order_id: str) -> None:
    books, order = world.outside, world.state(f"order-{order_id}").status
    parcel = world.state(f"shipment-{order_id}").status
    if order == "confirmed":
        assert books.parcels[order_id] == 1 or needs_a_person(world, order_id), (
            f"{order_id} has no parcel"
        )
    if (
        order in CALLED_OFF
        and parcel not in ("returned", "lost")
        and not _is_the_customers(world, order_id)
    ):
        has_left = order_id in books.left or books.parcels[order_id] > 0
        assert not has_left or needs_a_person(world, order_id), (
            f"{order_id} is {order}, but its parcel has left"
        )


def check_goods(world: World, order_id: str) -> None:
    order = world.state(f"order-{order_id}").status
    is_reserved = world.state(f"reservation-{order_id}").status == "reserved"
    parcel = world.state(f"shipment-{order_id}").status
    if order == "confirmed":
        assert is_reserved, f"{order_id} is confirmed, but nothing is reserved"
    is_the_customers = _is_the_customers(world, order_id) and parcel != "returned"
    if order in CALLED_OFF and is_reserved and parcel != "lost" and not is_the_customers:
        assert needs_a_person(world, order_id), (
            f"{order_id} is {order}, but its goods are still reserved"
        )


def check_stock(world: World, sku: str) -> None:
    """available + units that orders hold, in a parcel or at the customer = units received."""
    received = available = 0
    for event in (entry.message for entry in world.log if getattr(entry.message, "sku", "") == sku):
        change = MOVES.get(type(event), 0) * getattr(event, "quantity", 0)
        available += change
        received += change if isinstance(event, StockReceived) else 0
        assert 0 <= available <= received, f"{available} of {received} {sku}"
    held = sum(_held(world, event.order_id, sku) for event in _of(world, InventoryReserved))
    assert available + held == received, f"{available} + {held} is not {received} {sku}"


def _held(world: World, order_id: str, sku: str) -> int:
    """Units that the order holds by the log: reserved, and neither released nor restocked."""
    if any(event.order_id == order_id for event in _of(world, InventoryReleased)):
        return 0
    returns = {
        event.return_id for event in _of(world, ReturnRequested) if event.order_id == order_id
    }
    back = [event for event in _of(world, GoodsRestocked) if event.return_id in returns]
    reserved = [event for event in _of(world, InventoryReserved) if event.order_id == order_id]
    return _units(reserved, sku) - _units(back, sku)


def _units(events: list, sku: str) -> int:
    return sum(line.quantity for event in events for line in event.lines if line.sku == sku)


def _expected_balance(world: World, order_id: str) -> int:
    """The money that we may keep."""
    if world.state(f"order-{order_id}").status != "confirmed":
        return 0
    return world.total(order_id) - _sum(world, order_id, (PartRefunded,))


def _is_the_customers(world: World, order_id: str) -> bool:
    """Whether a refunded order's parcel had left before the refund."""
    if world.state(f"order-{order_id}").status != "refunding":
        return False
    names = [type(event).__name__ for event in _events(world, order_id)]
    refunded = names.index("OrderRefundRequested")
    return "ShipmentShipped" in names[:refunded]


def _sum(world: World, order_id: str, kinds: tuple[type, ...]) -> int:
    return sum(
        event.amount.amount for event in _events(world, order_id) if isinstance(event, kinds)
    )


def _events(world: World, order_id: str) -> list:
    return [
        entry.message
        for entry in world.log
        if entry.topic == "event" and getattr(entry.message, "order_id", "") == order_id
    ]


def _of(world: World, kind: type) -> list:
    return [entry.message for entry in world.log if isinstance(entry.message, kind)]
