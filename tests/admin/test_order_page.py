"""The page with everything about an order, for customer service."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from access import accounts
from eventstore.delivery import step
from eventstore.models import Event, OperatorAction, Parked
from eventstore.testing import drain
from orders.models import OrderDetails

from .conftest import busy, place, say_yes


def page_of(client, order_id):
    return client.get(f"/admin/orders/orderdetails/{order_id}/change/")


def test_it_tells_of_money_stock_parcel_and_of_every_step(staff, order):
    page = page_of(staff, order)
    body = page.content.decode()
    assert "9.00 EUR" in body
    assert "stock-CUP" in body
    dossier = page.context["dossier"]
    assert [each.event.type for each in dossier.timeline] == list(
        Event.objects.filter(stream__endswith=order)
        .order_by("position")
        .values_list("type", flat=True)
    )
    assert {each.stream for each in dossier.streams} == {
        f"{category}-{order}" for category in ("order", "payment", "reservation", "shipment")
    }
    assert [(each.saga.saga, each.saga.status) for each in dossier.processes] == [
        ("orders.fulfilment", "COMPLETED")
    ]
    assert dossier.pending.outgoing == dossier.pending.parked == []


@pytest.mark.usefixtures("books")
def test_it_tells_what_comes_back(staff, order):
    (back,) = page_of(staff, order).context["returns"]
    assert (back.order_id, back.status) == (order, "REQUESTED")


@pytest.mark.usefixtures("shop")
def test_it_tells_what_is_pending_and_what_is_parked(staff):
    order_id = place()
    step.step("orders.details")
    with busy("payments"):
        step.step("orders.fulfilment")
    Parked.objects.create(
        subscription="payments.gateway", position=1, key=f"payment-{order_id}", status="dead"
    )
    dossier = page_of(staff, order_id).context["dossier"]
    assert [(each.topic, each.type) for each in dossier.pending.outgoing] == [
        ("payments", "payments.process_payment")
    ]
    assert [each.subscription for each in dossier.pending.parked] == ["payments.gateway"]
    assert [each.label for each in dossier.processes[0].buttons] == ["Retry the step", "Compensate"]


@pytest.mark.usefixtures("shop")
def test_an_open_order_is_cancelled_and_an_ended_one_cannot_be(staff):
    order_id = place()
    step.step("orders.details")
    (cancel,) = page_of(staff, order_id).context["buttons"]
    assert say_yes(staff, cancel.address, "wrong colour").status_code == 302
    drain()
    cancelled = Event.objects.get(stream=f"order-{order_id}", type="orders.order_cancelled")
    assert (cancelled.data["reason"], cancelled.metadata["actor"]) == ("wrong colour", "root")
    assert OperatorAction.objects.get().subject == f"order {order_id}"
    assert page_of(staff, order_id).context["buttons"] == []
    assert staff.get(cancel.address).context["count"] == 0


@pytest.mark.usefixtures("shop")
def test_an_order_that_is_confirmed_meanwhile_stays_confirmed_and_the_page_says_why(staff):
    order_id = place()
    drain()
    address = f"/admin/orders/orderdetails/act/cancel/?id={order_id}"
    assert staff.get(address).context["count"] == 0
    assert staff.post(address, {"reason": "late", "digest": "0"}).status_code == 409
    assert not OperatorAction.objects.exists()


@pytest.mark.usefixtures("shop")
def test_it_is_found_from_the_index_by_its_id_in_three_steps(staff):
    order_id = place()
    drain()
    index = staff.get("/admin/").content.decode()
    listing = "/admin/orders/orderdetails/"
    assert f'href="{listing}"' in index
    found = staff.get(f"{listing}?q={order_id}").content.decode()
    assert f"{listing}{order_id}/change/" in found
    assert page_of(staff, order_id).status_code == 200


@pytest.mark.usefixtures("books")
def test_it_costs_a_dozen_queries_at_most(staff, order):
    with CaptureQueriesContext(connection) as queries:
        assert page_of(staff, order).status_code == 200
    assert len(queries) <= 12, [query["sql"][:100] for query in queries]


def test_the_customers_name_stands_beside_the_id_and_finds_the_order(staff, order):
    user = User.objects.create(username="ada")
    OrderDetails.objects.filter(pk=order).update(customer_id=accounts.customer_id_of(user))
    address = f"/admin/orders/orderdetails/{order}/change/"
    assert f"{accounts.customer_id_of(user)}</a> (ada)" in staff.get(address).content.decode()
    assert [
        each.pk for each in staff.get("/admin/orders/orderdetails/?q=ada").context["cl"].result_list
    ] == [order]
    user.delete()
    assert "(no account)" in staff.get(address).content.decode()
    assert not staff.get("/admin/orders/orderdetails/?q=ada").context["cl"].result_list
