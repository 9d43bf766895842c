"""The diagrams: a correlation in lanes, with a line from each cause; and the steps of a saga."""

import xml.etree.ElementTree as ElementTree
from datetime import timedelta
from itertools import pairwise

import pytest

from eventstore.console.diagrams import correlation as causation_diagram
from eventstore.delivery import step as delivery
from eventstore.models import Event, SagaState
from eventstore.testing import drain

from .conftest import place


def test_a_business_transaction_is_drawn_in_a_lane_for_each_context(staff, order):
    placed = _placed(order)
    page = staff.get(f"/admin/eventstore/event/{placed.position}/change/")
    picture = page.context["correlation"].picture
    events = Event.objects.filter(correlation_id=placed.correlation_id).order_by("position")
    assert [node.event for node in picture.nodes] == list(events)
    assert [lane.name for lane in picture.lanes] == ["orders", "payments", "inventory", "shipping"]
    assert len(picture.lines) == sum(event.causation_id is not None for event in events)
    svg = _svg(page)
    assert [link.get("href") for link in svg.iter(_named("a"))] == [
        node.address for node in picture.nodes
    ]
    assert [link.get("href") for link in svg.iter(_named("a")) if link.get("aria-current")] == [
        f"/admin/eventstore/event/{placed.position}/change/"
    ]


def test_events_of_one_context_lie_in_one_lane_and_go_to_the_right(order):
    picture = causation_diagram.picture(
        list(Event.objects.filter(stream__endswith=order).order_by("position"))
    )
    assert [node.x for node in picture.nodes] == sorted({node.x for node in picture.nodes})
    for node in picture.nodes:
        (lane,) = [lane for lane in picture.lanes if lane.name == node.event.type.partition(".")[0]]
        assert node.y == lane.y
        assert node.x < picture.width
        assert node.y < picture.height


def test_the_wider_distance_is_always_the_longer_time(order):
    """With these seconds since the first event: two at once, milliseconds, minutes, a month, and
    a clock that was set back."""
    since = (0, 0, 0.009, 0.108, 60.108, 120.108, 2_592_120, 2_592_110)
    events = list(
        Event.objects.filter(correlation_id=_placed(order).correlation_id).order_by("position")
    )[: len(since)]
    for event, seconds in zip(events, since, strict=True):
        event.recorded_at = events[0].recorded_at.replace(microsecond=0) + timedelta(
            seconds=seconds
        )
    nodes = causation_diagram.picture(events).nodes
    at_once, nine_ms, a_tenth, minute, again, month, back = (
        after.x - before.x for before, after in pairwise(nodes)
    )
    assert causation_diagram.COLUMN == at_once == back
    assert nine_ms - at_once == causation_diagram.TENFOLD
    assert a_tenth - at_once == 2 * causation_diagram.TENFOLD
    assert a_tenth < minute == again < month
    assert [node.late for node in nodes] == [
        "+0 ms",
        "+0 ms",
        "+9 ms",
        "+108 ms",
        "+1 min",
        "+2 min",
        "+30 days",
        "+30 days",
    ]
    assert [node.after for node in nodes][-2:] == ["30 days", "0 ms"]


def test_the_picture_is_told_to_who_does_not_see_it(staff, order):
    page = staff.get(f"/admin/eventstore/event/correlation/{_placed(order).correlation_id}/")
    svg, nodes = _svg(page), page.context["correlation"].picture.nodes
    title, description = (svg.find(_named(tag)) for tag in ("title", "desc"))
    assert (svg.get("aria-labelledby"), svg.get("aria-describedby")) == (
        title.get("id"),
        description.get("id"),
    )
    assert title.text == f"{len(nodes)} events in 4 lanes over time"
    links = [link.find(_named("title")).text for link in svg.iter(_named("a"))]
    assert links[0] == f"orders.order_placed, order-{order} version 1"
    assert links[1].endswith(f", {nodes[1].after} after the previous event")
    ticks = [
        float(tick.get("x1")) for tick in svg.iter(_named("line")) if tick.get("class") == "es-tick"
    ]
    assert ticks == [node.x for node in nodes]


def test_no_more_is_drawn_than_can_be_looked_at(order):
    (event,) = Event.objects.filter(stream=f"order-{order}", version=1)
    picture = causation_diagram.picture([event] * (causation_diagram.MOST + 1))
    assert (len(picture.nodes), picture.is_cut) == (causation_diagram.MOST, True)


def test_a_saga_that_went_through_shows_each_step_and_what_it_asked_for(staff, order):
    page, steps = _steps(staff, order)
    assert [(step.status, *step.commands) for step in steps] == [
        ("PAYMENT_PENDING", "payments.process_payment"),
        ("INVENTORY_PENDING", "inventory.reserve_inventory"),
        ("SHIPPING_PENDING", "shipping.create_shipment"),
        ("CONFIRMING", "orders.confirm_order"),
        ("COMPLETED",),
    ]
    assert [step.is_now for step in steps] == [False] * 4 + [True]
    assert len(list(_svg(page).iter(_named("rect")))) == 5


@pytest.mark.usefixtures("shop")
def test_a_saga_that_turned_back_shows_what_it_undid(staff):
    order_id = place("tok_declined")
    drain()
    _, steps = _steps(staff, order_id)
    assert [step.status for step in steps] == ["PAYMENT_PENDING", "COMPENSATING", "COMPENSATED"]
    assert steps[1].commands == ["orders.cancel_order"]


@pytest.mark.usefixtures("shop")
def test_a_saga_that_waits_shows_until_when(staff):
    order_id = place()
    delivery.step("orders.fulfilment")
    page, steps = _steps(staff, order_id)
    assert [(step.status, step.is_now) for step in steps] == [("PAYMENT_PENDING", True)]
    assert f"due {SagaState.objects.get().deadline_at:%H:%M:%S} UTC" in page.content.decode()


def test_a_step_that_the_log_does_not_tell_is_shown_all_the_same(staff, order):
    SagaState.objects.update(status="NEEDS_ATTENTION")
    _, steps = _steps(staff, order)
    assert [(step.status, step.cause) for step in steps][-1] == (
        "NEEDS_ATTENTION",
        "not in the log",
    )


def _placed(order_id):
    return Event.objects.get(stream=f"order-{order_id}", version=1)


def _steps(client, order_id):
    page = client.get(
        f"/admin/eventstore/sagastate/{SagaState.objects.get(key=order_id).pk}/change/"
    )
    return page, page.context["steps"].steps


def _svg(page):
    body = page.content.decode()
    begin = body.index('<svg class="es-picture"')
    return ElementTree.fromstring(body[begin : body.index("</svg>", begin) + len("</svg>")])


def _named(tag):
    return "{http://www.w3.org/2000/svg}" + tag
