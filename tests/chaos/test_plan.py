"""The planned faults and orders depend on the seed alone."""

from tools.verification.chaos.load import plan_orders
from tools.verification.chaos.plan import DECK, plan

LONG = {"begin": 5.0, "end": 300.0, "gap": (2.5, 4.5)}


def test_the_same_seed_is_the_same_plan_and_another_seed_another():
    assert plan(1, **LONG) == plan(1, **LONG) != plan(2, **LONG)


def test_a_long_run_sees_every_fault_at_least_as_often_as_the_deck_says():
    drawn = [fault.what for fault in plan(3, **LONG)]
    assert len(drawn) >= 70
    assert all(drawn.count(what) >= count for what, count in DECK.items())


def test_no_fault_begins_before_its_time_or_lasts_beyond_the_end():
    faults = plan(4, **LONG)
    assert all(5.0 <= fault.at < 300.0 for fault in faults)
    assert all(fault.at + fault.seconds <= 301.0 for fault in faults)


def test_the_same_seed_is_the_same_orders_and_each_has_a_key_of_its_own():
    planned = list(plan_orders(1, ["A", "B", "C"], ["ada", "grace"], rate=10, seconds=60))
    assert planned == list(plan_orders(1, ["A", "B", "C"], ["ada", "grace"], rate=10, seconds=60))
    assert len({order.key for order in planned}) == len(planned) > 400
    assert any(order.twice for order in planned)
    assert any(order.cancel_after is not None for order in planned)
    assert any(order.return_after is not None for order in planned)
