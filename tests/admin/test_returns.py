"""Staff request a return on an order's page, and receive or close it on the return's page."""

import json
from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from eventstore.commands import bus
from eventstore.models import Event, OperatorAction
from eventstore.testing import drain
from inventory.models import StockLevel
from orders.commands import ImportOrder
from orders.events import Charge, OrderLine
from orders.models import OrderDetails, ReturnView
from shipping.commands import Address

from .conftest import member, place, say_yes


def page_of(client, order_id):
    return client.get(f"/admin/orders/orderdetails/{order_id}/change/")


def return_page(client, return_id):
    return client.get(f"/admin/orders/returnview/{return_id}/change/")


def take_back(client, order_id, **words):
    (button,) = page_of(client, order_id).context["buttons"]
    assert button.label == "Request a return"
    return say_yes(client, button.address, "too small", **words)


def on_hand():
    return StockLevel.objects.get(pk="CUP").available


def test_goods_are_announced_come_and_are_paid_back(staff, order):
    before = on_hand()
    assert take_back(staff, order, **{"line-1": 1}).status_code == 302
    drain()
    back = ReturnView.objects.get(order_id=order)
    assert (back.status, back.refund, back.reason) == ("REQUESTED", 450, "too small")
    assert [each.label for each in return_page(staff, back.pk).context["buttons"]] == [
        "Receive the goods",
        "Close the return",
    ]
    receive = return_page(staff, back.pk).context["buttons"][0].address
    assert say_yes(staff, receive, "too small", **{"line-1": 1}).status_code == 302
    drain()
    back.refresh_from_db()
    assert (back.status, back.refunded) == ("COMPLETED", 450)
    assert on_hand() == before + 1
    assert return_page(staff, back.pk).context["buttons"] == []
    assert staff.get(receive).context["count"] == 0
    assert [
        (each.action, each.who, each.reason) for each in OperatorAction.objects.order_by("id")
    ] == [("request return", "root", "too small"), ("receive return", "root", "too small")]
    requested = Event.objects.get(type="orders.return_requested")
    assert requested.metadata["actor"] == "root"


def test_of_what_was_announced_less_may_come(staff, order):
    take_back(staff, order, **{"line-1": 2})
    drain()
    back = ReturnView.objects.get(order_id=order)
    say_yes(
        staff,
        return_page(staff, back.pk).context["buttons"][0].address,
        "too small",
        **{"line-1": 1},
    )
    drain()
    back.refresh_from_db()
    assert (back.status, back.refunded) == ("COMPLETED", 450)
    (again,) = page_of(staff, order).context["buttons"]
    assert "at most 1" in staff.get(again.address).content.decode()


def test_what_did_not_come_with_the_rest_can_be_received_later(staff, order):
    take_back(staff, order, **{"line-1": 2})
    drain()
    first = ReturnView.objects.get(order_id=order)
    say_yes(
        staff,
        return_page(staff, first.pk).context["buttons"][0].address,
        "one of two",
        **{"line-1": 1},
    )
    drain()
    (receive,) = return_page(staff, first.pk).context["buttons"]
    assert "at most 1" in staff.get(receive.address).content.decode()
    assert say_yes(staff, receive.address, "and the other one", **{"line-1": 1}).status_code == 302
    drain()
    later = ReturnView.objects.exclude(pk=first.pk).get(order_id=order)
    assert (later.status, later.refunded, later.reference) == ("COMPLETED", 450, first.pk)
    assert return_page(staff, first.pk).context["buttons"] == []


def test_what_nobody_waits_for_any_more_can_come_another_time(staff, order):
    take_back(staff, order, **{"line-1": 2})
    drain()
    back = ReturnView.objects.get(order_id=order)
    (taken,) = page_of(staff, order).context["buttons"]
    assert staff.get(taken.address).context["count"] == 0, "all of it is on its way back"
    assert (
        say_yes(
            staff, return_page(staff, back.pk).context["buttons"][1].address, "too small"
        ).status_code
        == 302
    )
    drain()
    back.refresh_from_db()
    assert (back.status, back.refunded) == ("CLOSED", 0)
    assert staff.get(taken.address).context["count"] == 1


@pytest.mark.usefixtures("shop")
def test_a_charge_is_paid_back_without_goods(staff):
    lines, charges = (OrderLine("CUP", "A cup", 1, 450),), (Charge("POST", "Postage", 1, 500),)
    now = datetime.now(UTC)
    bus.dispatch(
        ImportOrder(
            "o1", "customer-1", lines, charges, "EUR", 2, Address("Ada"), "invoice", now, "R1"
        )
    )
    drain()
    take_back(staff, "o1", **{"charge-1": 1})
    drain()
    back = ReturnView.objects.get(order_id="o1")
    assert (back.status, back.refunded, back.lines) == ("COMPLETED", 500, [])


@pytest.mark.parametrize(
    "words", [{}, {"line-1": 0}, {"line-1": 3}, {"line-1": -1}, {"line-1": "two"}]
)
def test_what_cannot_be_is_said_beside_its_field_and_nothing_happens(staff, order, words):
    answer = take_back(staff, order, **words)
    assert answer.status_code == 409
    assert "errorlist" in answer.content.decode()
    assert not OperatorAction.objects.exists()
    assert not Event.objects.filter(type="orders.return_requested").exists()


@pytest.mark.usefixtures("shop")
def test_of_an_order_under_way_nothing_is_taken_back(staff):
    order_id = place()
    assert staff.get(f"/admin/orders/orderdetails/act/return/?id={order_id}").status_code == 404, (
        "no row yet"
    )
    drain()
    OrderDetails.objects.filter(pk=order_id).update(status="PLACED")
    assert [each.label for each in page_of(staff, order_id).context["buttons"]] == [
        "Cancel the order"
    ]


def test_support_asks_and_operations_receives(order):
    support, operations = (
        member("ada", "support", "--view"),
        member("grace", "operations", "--view"),
    )
    assert take_back(support, order, **{"line-1": 1}).status_code == 302
    drain()
    back = ReturnView.objects.get(order_id=order)
    assert return_page(support, back.pk).context["buttons"] == []
    receive, _ = return_page(operations, back.pk).context["buttons"]
    assert support.get(receive.address).status_code == 403
    assert say_yes(operations, receive.address, "too small", **{"line-1": 1}).status_code == 302


def test_by_commands_as_well(order):
    requested = run_json("request", order, "--line", "1:2", "--reason", "too small")
    drain()
    return_id = requested["return_id"]
    assert run_json("receive", return_id, "--line", "1:1", "--reason", "one is broken") == {
        "return_id": return_id,
        "received": True,
    }
    drain()
    assert ReturnView.objects.get(pk=return_id).refunded == 450
    another = run_json("request", order, "--line", "1:1", "--reason", "the other, too")["return_id"]
    assert run_json("close", another, "--reason", "it does not come") == {
        "return_id": another,
        "closed": True,
    }


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["request", "nobody", "--line", "1:1"], "OrderNotFound"),
        (["request", "ORDER"], "EmptyReturn"),
        (["request", "ORDER", "--line", "1:3"], "MoreThanWasBought"),
        (["request", "ORDER", "--line", "7:1"], "NotOnTheOrder"),
        (["request", "ORDER", "--line", "1"], "NUMBER:UNITS"),
        (["receive", "nobody"], "ReturnNotFound"),
        (["close", "nobody"], "ReturnNotFound"),
    ],
)
def test_a_command_says_what_is_wrong(order, words, why):
    with pytest.raises(CommandError, match=why):
        call_command(
            "returns", *[order if each == "ORDER" else each for each in words], "--reason", "x"
        )
    assert not OperatorAction.objects.exists()


def run_json(*words):
    output = StringIO()
    call_command("returns", *words, "--json", stdout=output)
    return json.loads(output.getvalue())
