"""One seed is one shop: three orders, two products, and random commands and facts at random
moments."""

from collections.abc import Mapping
from random import Random

from config.wiring import PROCESSES
from eventstore.money import Money
from eventstore.subscriptions import Saga
from inventory.commands import ReceiveStock
from orders.commands import ImportOrder, Item, ListProduct, PlaceOrder, RequestReturn
from orders.events import Charge, OrderLine, Portion
from orders.returns.saga import RETURNING
from shipping.commands import Address
from tools.verification.simulation import conservation, facts
from tools.verification.simulation.facts import FACTS
from tools.verification.simulation.outside import Outside
from tools.verification.simulation.world import HOUR, MINUTE, World

PRICE = Money(100, "EUR")
ORDERS = ("o1", "o2", "o3")
SKUS = ("A", "B")
MOMENTS = (12.0, 20.0, 20 * MINUTE, 3 * HOUR)
# Actions by which an operator takes responsibility for a step.
BY_HAND = (facts.skip, facts.discard_a_call)
# Half of the orders get only these; the others get any fact.
ORDINARY = (facts.cancel, facts.retry, facts.compensate)


def live(
    process: str,
    seed: int,
    *,
    table: Mapping[str, Saga] | None = None,
    outside: type[Outside] = Outside,
) -> World:
    """table: sagas instead of the wiring's, for tests with a deliberate mistake."""
    random = Random(seed)
    world = World(
        (table or PROCESSES[process]) | {"orders.returning": RETURNING}, random, outside(random)
    )
    for sku in SKUS:
        world.dispatch(ListProduct(sku, sku, PRICE))
        world.dispatch(ReceiveStock(sku, random.choice((3, 6, 20))))
    for order_id in ORDERS:
        _let_live(world, order_id)
    _refund_what_is_sent_back(world, Random(f"sent back {seed}"))
    world.run(at_rest=lambda: check(world))
    return world


def _let_live(world: World, order_id: str) -> None:
    random = world.random
    skus = random.sample(SKUS, random.randrange(1, 3))
    items = tuple(Item(sku, random.randrange(1, 4)) for sku in skus)
    place: PlaceOrder | ImportOrder = PlaceOrder(
        order_id, "c1", items, Address("Ada"), "tok_visa", world.outside.today
    )
    if random.random() < 0.3:
        place = _with_postage(place)
    world.after(10.0, lambda: world.dispatch(place))
    for fact, longest in SENT_BACK if random.random() < 0.25 else ():
        world.after(longest, lambda fact=fact: _apply_if_placed(world, order_id, fact))
    facts_of_order, times = (
        ([*FACTS.values()], (1, 2, 4, 6)) if random.random() < 0.5 else (ORDINARY, (0, 0, 1, 2))
    )
    for fact in random.choices(facts_of_order, k=random.choice(times)):
        world.after(
            random.choice(MOMENTS), lambda fact=fact: _apply_if_placed(world, order_id, fact)
        )


def _refund_what_is_sent_back(world: World, random: Random) -> None:
    """In some shops an order is refunded before, between or after the steps of its return.

    random: a separate generator, so that this does not change the other events of a seed.
    """
    if random.random() < 0.35:
        order_id = random.choice(ORDERS)
        ships = ((facts.ship, random.choice(MOMENTS)),) if random.random() < 0.5 else ()
        for fact, longest in (*SENT_BACK, *ships, (facts.refund, random.choice(MOMENTS))):
            world.at(
                random.random() * longest, lambda fact=fact: _apply_if_placed(world, order_id, fact)
            )


def _apply_if_placed(world: World, order_id: str, fact: facts.Fact) -> None:
    if world.versions[f"order-{order_id}"]:
        world.accepted[fact.__name__] += fact(world, order_id) != facts.CANNOT_BE
        if fact in BY_HAND:
            world.seen_to.add(order_id)


def _request_return(world: World, order_id: str) -> str:
    """Request the return that the warehouse may receive or close later."""
    portions = (Portion(1, 1),)
    return world.dispatch(
        RequestReturn(f"{order_id}-r1", order_id, portions, (), "too small", world.outside.today)
    )


def _with_postage(place: PlaceOrder) -> ImportOrder:
    return ImportOrder(
        order_id=place.order_id,
        customer_id=place.customer_id,
        lines=tuple(
            OrderLine(item.sku, item.sku, item.quantity, PRICE.amount) for item in place.items
        ),
        charges=(Charge("POST", "Postage", 1, 50),),
        currency=PRICE.currency,
        exponent=PRICE.exponent,
        address=place.address,
        payment_method=place.payment_method,
        placed_at=place.placed_at,
        reference="",
    )


# Usually in this order.
SENT_BACK = (
    (_request_return, 5 * MINUTE),
    (facts.receive_return, HOUR),
    (facts.restock_again, 9 * HOUR),
)


def check(world: World) -> None:
    for order_id in ORDERS:
        conservation.check_order(world, order_id, seen_to=order_id in world.seen_to)
    for sku in SKUS:
        conservation.check_stock(world, sku)
