"""One seed, one shop: three orders, two products, customers and operators; and what must be true at the end."""

from collections import Counter
from collections.abc import Mapping
from random import Random

from config.wiring import PROCESSES
from eventstore.messages import Command, Event
from eventstore.money import Money
from eventstore.subscriptions import Saga
from inventory.commands import ReceiveStock
from inventory.events import InventoryReserved, StockReceived, StockReleased, StockReserved
from orders.commands import CancelOrder, Item, ListProduct, PlaceOrder
from orders.events import OrderCancelled, OrderConfirmed
from payments.events import PaymentCompleted, PaymentRefunded
from shipping.commands import Address, ShipShipment

from .outside import Outside
from .world import MINUTE, World

PRICE = Money(100, "EUR")
ORDERS = ("o1", "o2", "o3")
SKUS = ("A", "B")
ENDED = {"COMPLETED": OrderConfirmed, "COMPENSATED": OrderCancelled}


def live(
    process: str, seed: int, *, table: Mapping[str, Saga] | None = None, outside: type[Outside] = Outside
) -> World:
    """table: another process than the wiring's, to see whether what is wrong with it is found."""
    random = Random(seed)
    world = World(table or PROCESSES[process], random, outside(random))
    for sku in SKUS:
        world.dispatch(ListProduct(sku, sku, PRICE))
        world.dispatch(ReceiveStock(sku, random.choice((3, 6, 20))))
    for order_id in ORDERS:
        _let_live(world, order_id)
    world.run()
    check(world)
    return world


def _let_live(world: World, order_id: str) -> None:
    random = world.random
    skus = random.sample(SKUS, random.randrange(1, 3))
    items = tuple(Item(sku, random.randrange(1, 4)) for sku in skus)
    place = PlaceOrder(order_id, "c1", items, Address("Ada"), "tok_visa", world.outside.today)
    world.after(10.0, lambda: world.dispatch(place))
    for _ in range(random.choice((0, 0, 1, 2))):
        world.after(
            random.choice((20.0, 20 * MINUTE)), lambda: _dispatch_if_placed(world, CancelOrder(order_id, "no more"))
        )
    if "orders.fulfilment" in world.process and random.random() < 0.2:
        # The warehouse does not wait for the confirmation; without a conductor nobody could call the parcel back.
        world.after(30.0, lambda: _dispatch_if_placed(world, ShipShipment(order_id)))
    for action in ("retry", "compensate"):
        if random.random() < 0.2:
            world.after(
                random.choice((12.0, 12.0, 90 * MINUTE)), lambda action=action: world.intervene(order_id, action)
            )


def _dispatch_if_placed(world: World, command: CancelOrder | ShipShipment) -> None:
    if world.versions[f"order-{command.order_id}"]:
        world.dispatch(command)


def check(world: World) -> None:
    for order_id in ORDERS:
        _check_order(world, order_id)
    for sku in SKUS:
        _check_stock(world, sku)


def _check_order(world: World, order_id: str) -> None:
    said, books = Counter(_said(world, order_id)), world.outside
    confirmed, cancelled = said[OrderConfirmed], said[OrderCancelled]
    assert confirmed + cancelled == 1, f"{order_id} ended {confirmed + cancelled} times"
    for once in (PaymentCompleted, PaymentRefunded, InventoryReserved):
        assert said[once] <= 1, f"{order_id} has {said[once]} {once.__name__}"
    assert books.captures[order_id] <= 1, f"{order_id} was charged {books.captures[order_id]} times"
    assert books.refunded[order_id] <= books.captured[order_id], f"{order_id} was given back more than was taken"
    kept, total = books.captured[order_id] - books.refunded[order_id], world.total(order_id)
    assert kept == (total if confirmed else 0), f"{order_id}: {kept} kept of {total}, confirmed: {confirmed}"
    assert books.parcels[order_id] == confirmed, (
        f"{order_id}: {books.parcels[order_id]} parcels, confirmed: {confirmed}"
    )
    reservation = world.state(f"reservation-{order_id}").status
    assert (reservation == "reserved") == bool(confirmed), f"{order_id}: {reservation}, confirmed: {confirmed}"
    for (name, key), (state, _) in world.running.items():
        if name == "orders.fulfilment" and key == order_id:
            assert said[ENDED.get(state.status, Command)], f"the process of {order_id} is {state.status}"


def _check_stock(world: World, sku: str) -> None:
    received = available = 0
    for event in (entry.message for entry in world.log if getattr(entry.message, "sku", "") == sku):
        match event:
            case StockReceived():
                received = available = event.quantity
            case StockReserved():
                available -= event.quantity
            case StockReleased():
                available += event.quantity
        assert 0 <= available <= received, f"{available} of {received} {sku}"
    held = sum(_reserved(world, order_id, sku) for order_id in ORDERS)
    assert available + held == received, f"{available} available and {held} reserved of {received} {sku}"


def _said(world: World, order_id: str) -> list[type[Event]]:
    return [type(entry.message) for entry in world.log if getattr(entry.message, "order_id", "") == order_id]


def _reserved(world: World, order_id: str, sku: str) -> int:
    reservation = world.state(f"reservation-{order_id}")
    return (
        sum(line.quantity for line in reservation.lines if line.sku == sku) if reservation.status == "reserved" else 0
    )
