"""What searches and filters find, and the index that they use."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from uuid_utils.compat import uuid7

from eventstore.console import read_only
from eventstore.delivery import step
from eventstore.models import Event, SagaState, Stream
from payments.models import PaymentView
from shipping.models import ShipmentView

from .conftest import busy, place, place_many
from .everything import lists, models


def found(answer):
    return list(answer.context["cl"].result_list)


def streams(answer):
    return [each.stream for each in found(answer)]


def test_streams_come_the_newest_first(staff, order):
    names = streams(staff.get("/admin/eventstore/stream/"))
    by_position = Stream.objects.filter(version=1).order_by("-position")
    assert names == list(by_position.values_list("stream", flat=True))
    assert names.index(f"order-{order}") < names.index("product-CUP")


def test_a_stream_is_found_by_its_name_its_beginning_and_what_it_is_about(staff, order):
    of_the_order = {
        f"{category}-{order}" for category in ("order", "payment", "reservation", "shipment")
    }
    assert streams(staff.get(f"/admin/eventstore/stream/?q=order-{order}")) == [f"order-{order}"]
    assert streams(staff.get(f"/admin/eventstore/stream/?q=order-{order[:6]}")) == [
        f"order-{order}"
    ]
    assert set(streams(staff.get(f"/admin/eventstore/stream/?q=+{order}+"))) == of_the_order
    assert set(streams(staff.get("/admin/eventstore/stream/?q=CUP"))) == {
        "stock-CUP",
        "product-CUP",
    }
    assert streams(staff.get("/admin/eventstore/stream/?q=stock-C%25")) == []


def test_a_category_shows_its_streams_only(staff, order):
    assert streams(staff.get("/admin/eventstore/stream/?category=shipment")) == [
        f"shipment-{order}"
    ]


def test_the_list_of_streams_tells_their_last_version(staff, order):
    (stream,) = found(staff.get(f"/admin/eventstore/stream/?q=order-{order}"))
    assert stream.last_version == 2


def test_an_event_is_found_by_its_id_its_correlation_and_its_stream(staff, order):
    event = Event.objects.get(stream=f"order-{order}", version=1)
    search = "/admin/eventstore/event/?q="
    assert found(staff.get(f"{search}{event.id}")) == [event]
    correlated = Event.objects.filter(correlation_id=event.correlation_id)
    assert set(found(staff.get(f"{search}{event.correlation_id}"))) == set(correlated)
    assert {each.stream for each in found(staff.get(f"{search}{event.stream}"))} == {event.stream}
    assert {each.stream for each in found(staff.get(f"{search}{order}"))} == {
        f"{category}-{order}" for category in ("order", "payment", "reservation", "shipment")
    }
    assert found(staff.get(f"{search}rder")) == [], "nothing is looked for inside of anything"


def test_events_are_filtered_by_type_from_the_wiring(staff, order):
    events = found(staff.get("/admin/eventstore/event/?type=orders.order_placed"))
    assert [event.stream for event in events] == [f"order-{order}"]


@pytest.mark.usefixtures("shop")
def test_the_outbox_is_filtered_by_topic(staff):
    place()
    with busy("payments"):
        step.step("orders.fulfilment")
    messages = found(staff.get("/admin/eventstore/outboxmessage/?topic=payments"))
    assert messages
    assert {message.topic for message in messages} == {"payments"}


def test_sagas_are_filtered_by_status_and_found_by_key(staff, order):
    assert [
        saga.key for saga in found(staff.get("/admin/eventstore/sagastate/?status=COMPLETED"))
    ] == [order]
    assert [saga.key for saga in found(staff.get(f"/admin/eventstore/sagastate/?q={order}"))] == [
        order
    ]
    assert found(staff.get(f"/admin/eventstore/sagastate/?q={order[:8]}")) == []


def test_sagas_are_filtered_by_how_long_they_have_been_under_way(staff, order):
    long_ago = timezone.now() - timedelta(hours=2)
    SagaState.objects.create(
        saga="orders.fulfilment",
        key="late",
        status="PAYING",
        state={},
        position=1,
        correlation_id=uuid7(),
        deadline_at=timezone.now(),
    )
    SagaState.objects.filter(key="late").update(started_at=long_ago)
    SagaState.objects.filter(key=order).update(started_at=long_ago)

    def keys(age):
        return [saga.key for saga in found(staff.get("/admin/eventstore/sagastate/", {"age": age}))]

    assert keys("at all") == keys("for an hour") == ["late"], "one that has ended is not under way"
    assert keys("for a day") == []
    assert staff.get("/admin/eventstore/sagastate/", {"age": "for ever"}).status_code == 302


def test_orders_are_found_by_id_and_by_customer(staff, order):
    for term in (order, "customer-1"):
        assert [row.pk for row in found(staff.get(f"/admin/orders/orderdetails/?q={term}"))] == [
            order
        ]
    assert found(staff.get("/admin/orders/orderdetails/?q=customer")) == []


@pytest.mark.usefixtures("order")
def test_no_list_sorts_or_reads_a_whole_table():
    """Each list's first page, its filters and its searches, as PostgreSQL plans them without
    sequential scans."""
    indexes = {
        (
            "SELECT position FROM eventstore_event WHERE version = 1"
            " AND split_part(stream, '-', 1) = 'stock' ORDER BY position DESC LIMIT 50"
        ): "eventstore_event_streams",
        (
            "SELECT position FROM eventstore_event WHERE type = 'orders.order_placed'"
            " ORDER BY position DESC LIMIT 50"
        ): "eventstore_event_type",
        (
            "SELECT position FROM eventstore_event WHERE version = 1"
            " AND stream LIKE 'order-01%' ORDER BY stream, version LIMIT 50"
        ): "eventstore_one_event_per_version",
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "ANALYZE eventstore_event; SET enable_seqscan = off; SET enable_bitmapscan = off"
        )
        try:
            for query, index in indexes.items():
                cursor.execute(f"EXPLAIN {query}")
                plan = "\n".join(line for (line,) in cursor.fetchall())
                assert index in plan, plan
                assert "Seq Scan" not in plan, plan
        finally:
            cursor.execute("RESET enable_seqscan; RESET enable_bitmapscan")


@pytest.mark.usefixtures("shop")
def test_a_long_list_is_counted_so_far_and_no_further(staff, monkeypatch):
    monkeypatch.setattr("eventstore.console.read_only.LONGEST_LIST", 20)
    place_many(10)
    with CaptureQueriesContext(connection) as queries:
        answer = staff.get("/admin/eventstore/event/")
    assert answer.context["cl"].result_count == 20
    assert b"Only the first 20 are listed" in answer.content
    assert [each["sql"] for each in queries if "COUNT" in each["sql"] and "LIMIT 21" in each["sql"]]


@pytest.mark.usefixtures("books")
def test_the_whole_of_each_list_is_read_in_stretches(staff, monkeypatch):
    """Following the next stretches gives each row once, in the order of the list."""
    place_many(2)
    monkeypatch.setattr(read_only, "LONGEST_LIST", 20)
    monkeypatch.setattr(read_only.ReadOnlyAdmin, "list_per_page", 10)
    for model, address in zip(models(), lists(), strict=True):
        registered = admin.site.get_model_admin(model)
        expected = registered.get_queryset(RequestFactory().get(address)).order_by(
            *registered.get_ordering(RequestFactory().get(address))
        )
        assert in_stretches(staff, address) == [each.pk for each in expected], address


def in_stretches(staff, address, query=""):
    """The keys of a list's rows, along the links to the next stretches."""
    seen, further = [], f"?{query}"
    while further:
        first, second = (staff.get(f"{address}{further}&p={page}").context["cl"] for page in (1, 2))
        seen += [each.pk for each in first.result_list]
        seen += [each.pk for each in second.result_list] if second.multi_page else []
        further = first.next_stretch
    return seen


@pytest.mark.parametrize(
    ("address", "query", "model", "chosen", "order"),
    [
        (
            "/admin/payments/paymentview/",
            "status=COMPLETED",
            PaymentView,
            {"status": "COMPLETED"},
            ("-created_at", "-order_id"),
        ),
        (
            "/admin/shipping/shipmentview/",
            "status=CREATED",
            ShipmentView,
            {"status": "CREATED"},
            ("-created_at", "-order_id"),
        ),
        (
            "/admin/eventstore/sagastate/",
            "age=at+all",
            SagaState,
            {"deadline_at__isnull": False},
            ("deadline_at", "id"),
        ),
    ],
)
def test_what_a_filter_leaves_is_read_in_stretches_in_the_order_of_its_index(
    shop, staff, monkeypatch, address, query, model, chosen, order
):
    place_many(12)
    # As by one statement, so that the time alone does not tell the rows apart.
    model.objects.update(**{order[0].removeprefix("-"): timezone.now()})
    monkeypatch.setattr(read_only, "LONGEST_LIST", 4)
    monkeypatch.setattr(read_only.ReadOnlyAdmin, "list_per_page", 2)
    expected = [each.pk for each in model.objects.filter(**chosen).order_by(*order)]
    assert len(expected) > 8
    assert in_stretches(staff, address, query) == expected


@pytest.mark.usefixtures("order")
def test_a_list_that_begins_further_down_says_so_and_is_left_by_a_search(staff):
    last = Event.objects.latest("position").position
    page = staff.get(f"/admin/eventstore/event/?beyond={last}&type=orders.order_placed")
    assert last not in [each.position for each in found(page)]
    assert '<a href="?type=orders.order_placed">To the beginning</a>' in page.content.decode()
    assert 'name="beyond"' not in page.content.decode(), (
        "in the form of the search, or of the times"
    )
    assert "Nothing matches" in staff.get("/admin/eventstore/event/?beyond=0").content.decode()


@pytest.mark.usefixtures("order")
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("eventstore/event/?beyond=x", 302),
        ("eventstore/event/?beyond=", 302),
        (f"eventstore/event/?beyond={10**30}", 200),
        ("payments/paymentview/?beyond=2026-11-30", 302),
        ("payments/paymentview/?beyond=7", 302),
        ('payments/paymentview/?beyond=["yesterday","x"]', 302),
        ('payments/paymentview/?beyond=["2026-11-30T10:00Z"]', 302),
        ('payments/paymentview/?beyond=["2026-11-30T10:00Z","x\\u0000"]', 200),
        ('eventstore/stream/?q=order-&beyond=["order-%00","1"]', 200),
        ("orders/orderdetails/?beyond=%00", 302),
        ("orders/productview/?beyond=%00", 200),
        ("eventstore/event/?beyond__gt=1", 400),
    ],
)
def test_what_is_no_key_of_a_list_is_no_error(staff, address, status):
    assert staff.get(f"/admin/{address}").status_code == status
