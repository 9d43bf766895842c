"""Any order of returns, refunds, repetitions and delays: no unit comes back twice, and no more
money than was charged."""

from collections import Counter
from random import Random

import pytest

from config.wiring import PROCESSES
from eventstore import registry
from eventstore.messages import replace
from eventstore.money import Money
from inventory.commands import ReceiveStock
from inventory.events import GoodsRestocked, StockReleased, StockReserved, StockReturned
from orders.commands import (
    CloseReturn,
    ImportReturn,
    Item,
    ListProduct,
    PlaceOrder,
    ReceiveReturn,
    RefundOrder,
    RequestReturn,
)
from orders.events import GoodsReturned, Portion, ReturnPromised, ReturnRequested
from orders.order.aggregate import ORDER
from orders.returns.saga import RETURNING
from payments.events import PartRefunded, PaymentRefunded
from shipping.commands import Address
from tools.verification.simulation import facts
from tools.verification.simulation.outside import Outside
from tools.verification.simulation.world import HOUR, MINUTE, World

STOCK, QUANTITY, PRICE = 5, 3, Money(100, "EUR")
RETURNS = ("r1", "r2", "r3")
ENDED = {"completed": "COMPLETED", "closed": "CLOSED"}


def live(process, seed, *, returning=RETURNING):
    random = Random(seed)
    world = World(PROCESSES[process] | {"orders.returning": returning}, random, Outside(random))
    world.dispatch(ListProduct("A", "Apple", PRICE))
    world.dispatch(ReceiveStock("A", STOCK))
    world.dispatch(
        PlaceOrder(
            "o1", "c1", (Item("A", QUANTITY),), Address("Ada"), "tok_visa", world.outside.today
        )
    )
    if random.random() < 0.5:
        world.after(random.choice((MINUTE, 3 * HOUR)), lambda: facts.ship(world, "o1"))
    for wish in wishes(random, world.outside.today):
        world.after(random.choice((10.0, MINUTE, 3 * HOUR)), lambda wish=wish: world.dispatch(wish))
    world.run()
    check(world)
    return world


def wishes(random, at):
    """Commands of customer, warehouse and staff in any order, some of them twice."""
    for return_id in RETURNS:
        units = random.randrange(1, QUANTITY + 1)
        yield RequestReturn(return_id, "o1", (Portion(1, units),), (), "too small", at)
        for _ in range(random.randrange(3)):
            yield ReceiveReturn(return_id, "o1", (Portion(1, random.randrange(1, units + 1)),), at)
        if random.random() < 0.2:
            yield CloseReturn(return_id, "o1", "never came")
    if random.random() < 0.5:
        yield ImportReturn(
            "r4", "o1", (Portion(1, random.randrange(1, QUANTITY + 1)),), "elsewhere", at, "C1"
        )
    if random.random() < 0.4:
        yield RefundOrder("o1", "goodwill")


def check(world):
    events = [entry.message for entry in world.log if entry.topic == "event"]
    came = {event.return_id: event for event in events if isinstance(event, GoodsReturned)}
    units = sum(line.quantity for event in came.values() for line in event.lines)
    assert units <= QUANTITY, f"{units} of {QUANTITY} came back"
    books = world.outside
    assert books.refunded["o1"] <= books.captured["o1"], "given back more than was taken"
    parts = Counter(event.refund_id for event in events if isinstance(event, PartRefunded))
    assert set(parts.values()) <= {1}, f"paid back twice: {parts}"
    paid_back = [event for event in events if isinstance(event, PartRefunded | PaymentRefunded)]
    # A manual refund is of the whole amount, and no event of ours.
    assert books.refunded["o1"] in (
        sum(event.amount.amount for event in paid_back),
        books.captured["o1"],
    )
    for event in paid_back:
        if isinstance(event, PartRefunded):
            assert event.amount == came[event.refund_id].refund, (
                "exactly the value of what came back"
            )
    moved = sum(
        MOVES.get(type(event), 0) * event.quantity for event in events if type(event) in MOVES
    )
    reserved = sum(event.quantity for event in events if isinstance(event, StockReserved))
    # The goods of a cancelled parcel are back in stock already, whatever is returned.
    expected = (
        0 if reserved and world.state("reservation-o1").status == "released" else units - reserved
    )
    assert moved == expected, f"{moved} moved, {units} came back, {reserved} reserved"
    for event in events:
        if isinstance(event, ReturnRequested):
            _check_end(world, event.return_id)


def _check_end(world, return_id):
    status, (saga, _) = (
        world.state(f"return-{return_id}").status,
        world.running["orders.returning", return_id],
    )
    assert status in ENDED, f"{return_id} is {status}, and its process {saga.status}: {saga.note}"
    assert saga.status == ENDED[status], f"{return_id} is {status}, and its process {saga.status}"


MOVES = {StockReserved: -1, StockReleased: 1, StockReturned: 1}


@pytest.mark.parametrize("process", PROCESSES)
def test_of_hundreds_of_orders_none_gives_too_much_back_and_no_return_is_left_open(process):
    seen = Counter()
    for seed in range(300):
        try:
            world = live(process, seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed} of {process}: {error}") from None
        seen.update(world.state(f"return-{return_id}").status for return_id in (*RETURNS, "r4"))
        seen["all of it"] += 0 < world.outside.captured["o1"] == world.outside.refunded["o1"]
    assert min(seen["completed"], seen["closed"], seen["all of it"]) > 30, (
        f"too little was seen: {seen}"
    )


class TestItWouldFind:
    def test_an_order_that_forgets_which_units_some_return_has(self, monkeypatch):
        forgetful = {**ORDER.evolve, ReturnPromised: lambda order, event: order}
        aggregates = {**registry.aggregates(), "order": ORDER._replace(evolve=forgetful)}
        monkeypatch.setattr(registry, "aggregates", lambda: aggregates)
        assert _found("came back")

    def test_a_process_that_pays_back_what_was_announced(self):
        def trusting(saga, event):
            return RETURNING.react[GoodsReturned](saga, replace(event, refund=saga.refund))

        assert _found("exactly the value", {GoodsReturned: trusting})

    def test_a_process_that_forgets_the_shelf(self):
        def hasty(saga, event):
            restocking = RETURNING.react[GoodsReturned](saga, event).state
            return RETURNING.react[GoodsRestocked](
                restocking, GoodsRestocked(event.return_id, restocking.lines)
            )

        assert _found("moved", {GoodsReturned: hasty})

    def test_a_process_that_restocks_past_the_order_whose_goods_they_are(self):
        def unknown(saga, event):
            reaction = RETURNING.react[GoodsReturned](saga, event)
            return reaction._replace(
                commands=[replace(each, order_id="") for each in reaction.commands]
            )

        assert _found("moved", {GoodsReturned: unknown})


def _found(words, reactions=None, *, seeds=200):
    returning = RETURNING._replace(react={**RETURNING.react, **(reactions or {})})
    for seed in range(seeds):
        try:
            live("orchestration", seed, returning=returning)
        except AssertionError as error:
            if words in str(error):
                return True
    return False
