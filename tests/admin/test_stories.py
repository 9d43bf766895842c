"""The contents of the pages: the states of a stream, the cause of an event, the deliveries of a
message."""

import html
import json

import pytest

from eventstore.console import formatting
from eventstore.console.diagrams import causation
from eventstore.delivery import step as delivery
from eventstore.log import audit
from eventstore.models import Event, OutboxMessage, Parked, SagaState, Subscription
from eventstore.testing import drain

from .conftest import busy, place, place_many


def text(answer):
    return html.unescape(answer.content.decode())


def test_a_stream_is_shown_as_it_was_at_a_version(staff, order):
    address = f"/admin/eventstore/stream/order-{order}/change/"
    last, first = staff.get(address), staff.get(f"{address}?version=1")
    assert '"confirmed"' in text(last)
    assert "State at version 2, the last" in text(last)
    assert '"placed"' in text(first)
    assert '"confirmed"' not in text(first)
    fields = {field.name: field for field in last.context["state"].fields}
    assert fields["status"].set_by == (2, "orders.order_confirmed")
    assert fields["customer_id"].set_by == (1, "orders.order_placed")


def test_two_versions_of_a_stream_are_compared(staff, order):
    address = f"/admin/eventstore/stream/order-{order}/change/"
    changed = {
        each.name: (each.before, each.after) for each in staff.get(address).context["changes"]
    }
    assert changed == {"status": ('"placed"', '"confirmed"')}
    since_ever = {
        each.name: each.before for each in staff.get(f"{address}?since=0").context["changes"]
    }
    assert since_ever["status"] == '"new"'
    assert "lines" in since_ever
    assert staff.get(f"{address}?since=99&version=1").context["changes"] == []
    assert staff.get(f"{address}?since=x").context["since"] == 1


@pytest.mark.parametrize("version", ["0", "-1", "99", "x", "²", "9" * 30])
def test_a_version_that_is_none_is_the_nearest_there_is(staff, order, version):
    answer = staff.get(f"/admin/eventstore/stream/order-{order}/change/", {"version": version})
    assert answer.context["version"] in (1, 2)


def test_a_timeline_tells_what_caused_each_event(staff, order):
    timeline = staff.get(f"/admin/eventstore/stream/order-{order}/change/").context["timeline"]
    assert [(each.event.type, each.cause and each.cause.type) for each in timeline] == [
        ("orders.order_placed", None),
        ("orders.order_confirmed", "shipping.shipment_created"),
    ]


@pytest.mark.usefixtures("shop")
def test_a_long_stream_is_shown_in_stretches(staff, monkeypatch):
    monkeypatch.setattr("eventstore.console.pages.streams.STRETCH", 10)
    monkeypatch.setattr("eventstore.console.pages.stream_state.MOST_ATTRIBUTED", 5)
    place_many(24)
    answer = staff.get("/admin/eventstore/stream/stock-CUP/change/?version=12")
    assert [each.event.version for each in answer.context["timeline"]] == list(range(11, 21))
    assert (answer.context["earlier"], answer.context["later"]) == (10, 21)
    (available,) = answer.context["state"].fields
    assert (available.value, available.set_by) == (str(1000 - 11 * 2), None)


def test_a_stream_that_no_code_of_today_can_fold_says_so(staff, order, monkeypatch):
    from eventstore import registry

    for way in ("decode", "reader", "maker"):
        monkeypatch.setattr(registry, way, _unknown)
    answer = staff.get(f"/admin/eventstore/stream/order-{order}/change/")
    assert answer.status_code == 200
    assert "Today's code cannot read all events of this stream." in text(answer)
    position = Event.objects.get(stream=f"order-{order}", version=1).position
    answer = staff.get(f"/admin/eventstore/event/{position}/change/")
    assert "orders.order_placed was taken out" in text(answer)


def test_an_event_names_its_cause_and_its_effects(staff, order):
    reserved = Event.objects.get(type="inventory.inventory_reserved")
    page = staff.get(f"/admin/eventstore/event/{reserved.position}/change/")
    assert page.context["cause"].type == "payments.payment_completed"
    assert [effect.type for effect in page.context["effects"]] == ["shipping.shipment_requested"]
    assert json.loads(page.context["data"]) == reserved.data
    assert page.context["decoded"]["by"] == "InventoryReserved"


@pytest.mark.usefixtures("order")
def test_an_event_is_found_by_its_id_as_well(staff):
    event = Event.objects.get(type="inventory.inventory_reserved")
    assert staff.get(f"/admin/eventstore/event/{event.id}/change/").context["original"] == event


def test_a_correlation_is_set_in_by_cause(staff, order):
    placed = Event.objects.get(stream=f"order-{order}", version=1)
    steps = (
        staff.get(f"/admin/eventstore/event/{placed.position}/change/").context["correlation"].steps
    )
    assert [(step.event.type, step.depth) for step in steps] == [
        ("orders.order_placed", 0),
        ("payments.payment_requested", 1),
        ("payments.payment_completed", 2),
        ("inventory.inventory_reserved", 3),
        ("inventory.stock_reserved", 3),
        ("shipping.shipment_requested", 4),
        ("shipping.shipment_created", 5),
        ("orders.order_confirmed", 6),
    ]


def test_a_correlation_too_long_to_show_says_so(staff, order, monkeypatch):
    monkeypatch.setattr(causation, "LONGEST", 3)
    placed = Event.objects.get(stream=f"order-{order}", version=1)
    answer = staff.get(f"/admin/eventstore/event/{placed.position}/change/")
    assert len(answer.context["correlation"].steps) == 3
    assert "Only the first 3 are listed" in text(answer)


def test_a_parked_message_leads_to_its_event_and_shows_its_traceback(staff, shop):
    order_id = place("tok_timeout")
    drain()
    parked = Parked.objects.get(subscription="payments.gateway")
    page = text(staff.get(f"/admin/eventstore/parked/{parked.pk}/change/"))
    assert "TimeoutError" in page
    assert "Traceback (most recent call last)" in page
    assert f"/admin/eventstore/event/{parked.position}/change/" in page
    assert f"payment-{order_id}" in page


@pytest.mark.usefixtures("shop")
def test_a_parked_message_is_shown_when_the_outbox_has_it_no_more(staff):
    place("tok_timeout")
    drain()
    OutboxMessage.objects.all().delete()
    parked = Parked.objects.get()
    page = text(staff.get(f"/admin/eventstore/parked/{parked.pk}/change/"))
    assert f"/admin/eventstore/event/{parked.position}/change/" in page
    assert "outbox message" not in page


def test_the_outbox_tells_who_has_still_to_take_a_message(staff, shop):
    order_id = place()
    with busy("payments"):
        delivery.step("orders.fulfilment")
    message = OutboxMessage.objects.get(topic="event", key=f"order-{order_id}")
    page = staff.get(f"/admin/eventstore/outboxmessage/{message.position}/change/")
    assert {each.subscription: each.state for each in page.context["deliveries"]} == {
        "orders.details": "pending",
        "orders.fulfilment": "passed",
        "orders.published": "pending",
        "webhooks": "pending",
    }
    drain()
    message.refresh_from_db()
    assert ">delivered<" in text(staff.get("/admin/eventstore/outboxmessage/"))
    outgoing = OutboxMessage.objects.filter(topic="payments").first()
    page = text(staff.get(f"/admin/eventstore/outboxmessage/{outgoing.position}/change/"))
    assert "payments.process_payment" in page
    assert order_id in page


def test_the_outbox_tells_who_could_not_take_a_message(staff, shop):
    place("tok_timeout")
    drain()
    parked = Parked.objects.get()
    page = staff.get(f"/admin/eventstore/outboxmessage/{parked.position}/change/")
    states = {each.subscription: each.state for each in page.context["deliveries"]}
    assert states["payments.gateway"] == "failed"
    assert "TimeoutError" in text(page)


def test_subscriptions_show_what_is_behind_paused_and_dead(staff, shop):
    Subscription.objects.filter(name="shipping.shipments").update(paused=True)
    place()
    rows = {
        row.name: row.lag
        for row in staff.get("/admin/eventstore/subscription/").context["cl"].result_list
    }
    assert rows["orders.details"].events == 1
    assert rows["orders.details"].seconds > 0
    assert rows["shipping.shipments"].paused
    assert rows["payments"].events == 0


def test_a_saga_shows_its_state_and_the_streams_of_its_key(staff, order):
    saga = SagaState.objects.get(key=order)
    answer = staff.get(f"/admin/eventstore/sagastate/{saga.pk}/change/")
    assert list(answer.context["streams"]) == [
        f"{category}-{order}" for category in ("order", "payment", "reservation", "shipment")
    ]
    assert json.loads(answer.context["state"])["status"] == "COMPLETED"
    assert len(answer.context["correlation"].steps) == 8


def test_an_order_leads_to_its_streams_its_saga_and_its_correlation(staff, order):
    page = text(staff.get(f"/admin/orders/orderdetails/{order}/change/"))
    saga = SagaState.objects.get(key=order)
    placed = Event.objects.get(stream=f"order-{order}", version=1)
    assert f"/admin/eventstore/stream/payment-{order}/change/" in page
    assert f"/admin/eventstore/sagastate/{saga.pk}/change/" in page
    assert f"/admin/eventstore/event/correlation/{placed.correlation_id}/" in page
    assert "<td>CUP</td><td>A <b>cup</b></td><td>2</td><td>4.50 EUR</td><td>9.00 EUR</td>" in page


def _unknown(name, *_):
    from eventstore.registry import UnknownType

    raise UnknownType(f"{name} was taken out")


def test_a_timeline_tells_what_each_event_changed_and_is_read_from_either_end(staff, order):
    address = f"/admin/eventstore/stream/order-{order}/change/"
    timeline = staff.get(address).context["timeline"]
    assert [each.changed for each in timeline] == [
        ["status", "customer_id", "total", "lines"],
        ["status"],
    ]
    page = staff.get(f"{address}?order=newest")
    assert [each.event.version for each in page.context["timeline"]] == [2, 1]
    assert f'href="{address}?version=2">Oldest first' in page.content.decode()


def test_a_version_can_be_slid_to_where_there_are_several(staff, order):
    slider = 'name="version" type="range" min="1" max="2" value="1"'
    assert (
        slider
        in staff.get(f"/admin/eventstore/stream/order-{order}/change/?version=1").content.decode()
    )
    assert "range" not in staff.get("/admin/eventstore/stream/product-CUP/change/").content.decode()


def test_a_business_transaction_has_a_page_with_its_streams_and_processes(staff, order):
    placed = Event.objects.get(stream=f"order-{order}", version=1)
    address = f"/admin/eventstore/event/correlation/{placed.correlation_id}/"
    assert (
        f'href="{address}"'
        in staff.get(f"/admin/eventstore/event/{placed.position}/change/").content.decode()
    )
    page = staff.get(address)
    assert page.context["lanes"] == ["orders", "payments", "inventory", "shipping"]
    assert page.context["streams"] == [
        *(f"{category}-{order}" for category in ("order", "payment", "reservation")),
        "stock-CUP",
        f"shipment-{order}",
    ]
    assert [each.key for each in page.context["sagas"]] == [order]
    assert len(page.context["correlation"].picture.nodes) == 8
    assert (
        staff.get(
            "/admin/eventstore/event/correlation/00000000-0000-7000-8000-000000000000/"
        ).status_code
        == 404
    )


def test_json_is_a_tree_whose_branches_can_be_shut():
    html_tree = formatting.tree('{"lines": [{"sku": "<b>"}], "none": [], "sum": 1.50}')
    assert "<summary><span" in html_tree
    assert html_tree.count("<details open>") == 2, (
        "the list, and what is in it; an empty one has nothing to shut"
    )
    assert '<span class="es-key">none</span>: <span class="es-leaf">[]</span>' in html_tree
    assert "&quot;&lt;b&gt;&quot;" in html_tree
    assert "<b>" not in html_tree


def test_the_history_of_a_page_is_what_was_done_to_it_by_hand(staff, order):
    audit.record("grace", "cancel", f"order {order}", reason="wrong colour")
    audit.record("ada", "reveal", "events", reason="the court asks")
    history = staff.get(f"/admin/orders/orderdetails/{order}/history/", follow=True)
    assert [each.who for each in history.context["cl"].result_list] == ["grace"]
    assert f'href="{history.redirect_chain[-1][0]}"' in text(
        staff.get(f"/admin/orders/orderdetails/{order}/change/")
    )


@pytest.mark.parametrize(
    ("query", "who"),
    [
        ("", ["ada", "grace"]),
        ("who=ada", ["ada"]),
        ("action=cancel", ["grace"]),
        ("q=events", ["ada"]),
        ("since=2020-01-01T00:00", ["ada", "grace"]),
        ("until=2020-01-01T00:00", []),
        ("who=ada&action=cancel", []),
    ],
)
def test_what_was_done_by_hand_is_filtered(staff, query, who):
    audit.record("grace", "cancel", "order 1", reason="wrong colour")
    audit.record("ada", "reveal", "events", reason="the court asks")
    found = staff.get(f"/admin/eventstore/operatoraction/?{query}").context["cl"].result_list
    assert [each.who for each in found] == who
