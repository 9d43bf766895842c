"""A whole round: the shop's order, the partner's points, and the partner's answer in the shop."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from eventstore.commands import bus
from eventstore.console import links
from eventstore.models import Event
from orders.commands import RefundOrder
from orders.models import OrderDetails

from .conftest import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

EARNED, TAKEN_BACK = "orders.loyalty_points_earned", "orders.loyalty_points_taken_back"


def answers(order_id):
    """What the shop has recorded of the partner's answers."""
    return list(Event.objects.filter(stream=f"loyalty-{order_id}").order_by("version"))


def customer_of(order_id):
    return OrderDetails.objects.get(pk=order_id).customer_id


def test_the_partner_answers_a_confirmed_order_with_points(services, shop):
    order_id = shop.stocked(3).place(3)
    order = shop.comes_to(order_id, status="CONFIRMED")
    (answer,) = until(lambda: answers(order_id))

    points = order["total"]["amount"] // 100
    placed = Event.objects.get(stream=f"order-{order_id}", version=1)
    assert (answer.type, answer.data["points"]) == (EARNED, points)
    assert points > 0
    assert answer.correlation_id == placed.correlation_id

    customer_id = customer_of(order_id)
    credited = (order_id, "loyalty.points_credited", points, placed.correlation_id)
    assert services.account(customer_id) == [credited]
    wanted = f"{customer_id}  {points} points for 1 order"
    until(lambda: wanted in services.points())

    console = Client()
    console.force_login(User.objects.create_superuser(f"admin-{order_id}"))
    page = console.get(links.of(OrderDetails, order_id))
    assert EARNED in [each.event.type for each in page.context["dossier"].timeline]
    assert "loyalty_points_earned" in page.content.decode()


def test_an_order_that_is_refunded_loses_its_points(services, shop):
    order_id = shop.stocked(1).place()
    shop.comes_to(order_id, status="CONFIRMED")
    (earned,) = until(lambda: answers(order_id))
    bus.dispatch(RefundOrder(order_id, "lost in the post"))
    until(lambda: len(answers(order_id)) == 2)

    _, taken_back = answers(order_id)
    assert (taken_back.type, taken_back.data["points"]) == (TAKEN_BACK, earned.data["points"])
    assert [type_ for _, type_, _, _ in services.account(customer_of(order_id))] == [
        "loyalty.points_credited",
        "loyalty.points_withdrawn",
    ]


def test_a_partner_that_is_killed_credits_each_order_once(services, shop):
    shop.stocked(100)
    order_ids = []
    for _ in range(3):
        before = [shop.place() for _ in range(4)]
        until(lambda placed=before: any(answers(each) for each in placed))
        services.kill_partner()
        order_ids += [*before, shop.place(), shop.place()]
        services.start_partner()
    until(lambda: all(answers(each) for each in order_ids))

    account = services.account(customer_of(order_ids[0]))
    assert sorted(order_id for order_id, _, _, _ in account) == sorted(order_ids)
    assert all(len(answers(each)) == 1 for each in order_ids)
    correlations = {order_id: correlation for order_id, _, _, correlation in account}
    for each in order_ids:
        assert answers(each)[0].correlation_id == correlations[each]
