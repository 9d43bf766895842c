"""Every page of the console needs permission, changes nothing, and costs a few queries."""

import re
from types import MappingProxyType

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape

from eventstore.log import audit
from eventstore.models import Event, Parked, SagaState, Subscription, WebhookEndpoint
from eventstore.testing import drain

from .conftest import place, place_many
from .everything import lists, pages

# Two of these read the session and the user.
MOST_QUERIES = 10

INLINE = re.compile(
    r"<style|<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|https?://(?!www\.w3\.org)", re.IGNORECASE
)


@pytest.fixture
def parked(order, books):
    audit.record("grace", "retry", "payments.gateway", reason="<script>alert(3)</script>")
    return Parked.objects.create(
        subscription="payments.gateway",
        position=Event.objects.filter(type="payments.payment_requested").get().position,
        key=f"payment-{order}",
        status=Parked.Status.DEAD,
        attempts=12,
        due_at=None,
        error="TimeoutError: <script>alert(1)</script>",
        traceback="Traceback (most recent call last): <script>alert(2)</script>",
    )


def everywhere():
    return lists() + pages()


@pytest.mark.usefixtures("parked")
def test_staff_sees_every_list_and_every_page(staff):
    assert len(pages()) == len(lists()), "there is a row of everything"
    for address in everywhere():
        answer = staff.get(address)
        assert answer.status_code == 200, address
        assert "<script>alert" not in answer.content.decode(), address


def test_empty_lists_say_why(staff):
    for address in lists():
        answer = staff.get(address)
        if b'id="result_list"' not in answer.content:
            assert b"es-nothing" in answer.content, address


@pytest.mark.usefixtures("parked")
def test_nobody_else_sees_any():
    people = MappingProxyType(
        {"a stranger": Client(), "a customer": _client(), "a clerk": _client(is_staff=True)}
    )
    for who, client in people.items():
        for address in everywhere():
            assert client.get(address).status_code in (302, 403), (who, address)


@pytest.mark.usefixtures("parked")
def test_the_right_to_view_events_opens_events_only():
    client = _client(is_staff=True)
    user = User.objects.get()
    user.user_permissions.add(
        Permission.objects.get(content_type__app_label="eventstore", codename="view_event")
    )
    position = Event.objects.first().position
    assert client.get("/admin/eventstore/event/").status_code == 200
    assert client.get(f"/admin/eventstore/event/{position}/change/").status_code == 200
    assert client.get("/admin/eventstore/subscription/").status_code == 403


@pytest.mark.usefixtures("parked")
def test_nothing_can_be_posted_added_or_deleted(staff):
    before = _rows()
    for address in everywhere():
        for method in (staff.post, staff.put, staff.patch, staff.delete):
            assert method(address, {"paused": "on"}).status_code in (403, 405), address
    for address in lists():
        assert staff.get(f"{address}add/").status_code == 403, address
        assert staff.post(f"{address}add/").status_code in (403, 405), address
    for address in pages():
        assert staff.get(address.replace("/change/", "/delete/")).status_code in (302, 403), address
        assert staff.post(address.replace("/change/", "/delete/"), {"post": "yes"}).status_code in (
            302,
            403,
        ), address
    assert _rows() == before


@pytest.mark.usefixtures("shop")
def test_sixty_rows_cost_as_many_queries_as_one(staff):
    place_many(1)
    few = _counts(staff)
    orders = place_many(60)
    Parked.objects.bulk_create(
        Parked(
            subscription="payments.gateway",
            position=event.position,
            key=event.stream,
            status="failed",
            error="x",
        )
        for event in Event.objects.filter(type="payments.payment_requested")
    )
    Subscription.objects.bulk_create(Subscription(name=f"retired.{number}") for number in range(60))
    many = _counts(staff)
    assert len(orders) == 60
    assert SagaState.objects.count() > 60
    for address, count in many.items():
        assert count <= MOST_QUERIES, (address, count)
        # An empty page looks up neither what its errors quote, nor what its rows are about.
        assert count <= few[address] + 2, (address, few[address], count)


@pytest.mark.usefixtures("order")
def test_a_long_stream_costs_no_more_queries_than_a_short_one(staff):
    with CaptureQueriesContext(connection) as short:
        staff.get("/admin/eventstore/stream/stock-CUP/change/")
    place_many(120)
    with CaptureQueriesContext(connection) as long:
        staff.get("/admin/eventstore/stream/stock-CUP/change/")
    assert len(long) <= len(short) + 1, "another page of the stream for its state, at most"


@pytest.mark.usefixtures("parked")
def test_a_strict_content_security_policy_would_find_nothing_to_forbid(staff):
    for address in everywhere():
        page = staff.get(address).content.decode()
        for endpoint in WebhookEndpoint.objects.all():
            page = page.replace(escape(endpoint.url), "")  # as text, it loads nothing
        assert not INLINE.findall(page), (address, INLINE.findall(page))


@pytest.mark.usefixtures("shop")
def test_what_is_in_a_payload_is_escaped_everywhere(staff):
    order_id = place(name="<script>alert('name')</script>", city='"><img src=x onerror=alert(1)>')
    drain()
    assert (
        "<script>"
        in Event.objects.get(stream=f"order-{order_id}", version=1).data["address"]["name"]
    )
    for address in [*everywhere(), f"/admin/orders/orderdetails/{order_id}/change/"]:
        page = staff.get(address).content.decode()
        assert "<script>alert" not in page, address
        assert "<img src=x" not in page, address
        assert "<b>cup" not in page, address


@pytest.mark.parametrize(
    "key",
    [
        "0",
        "nothing",
        "9" * 40,
        "%00",
        "order-%00",
        "..%2F..",
        "00000000-0000-7000-8000-000000000000",
    ],
)
def test_what_is_not_there_leads_home_with_a_message(staff, key):
    for address in lists():
        assert staff.get(f"{address}{key}/change/").status_code in (302, 404), (address, key)


@pytest.mark.parametrize(
    "query",
    ["q=%00", "q=%27", "q=" + "x" * 3000, "type=%00", "category=nothing", "p=999999", "o=1", "e=1"],
)
def test_odd_questions_break_no_list(staff, query):
    for address in lists():
        assert staff.get(f"{address}?{query}").status_code in (200, 302, 400), (address, query)


@pytest.mark.parametrize(
    "query", ["data__icontains=a", "stream__contains=a", "state__icontains=a", "status__gt=a"]
)
def test_no_address_searches_what_has_no_index(staff, query):
    for address in lists():
        assert staff.get(f"{address}?{query}").status_code == 400, address


def _client(**rights):
    client = Client()
    client.force_login(User.objects.create_user(f"user-{User.objects.count()}", **rights))
    return client


def _counts(client):
    counted = {}
    for address in lists():
        with CaptureQueriesContext(connection) as queries:
            assert client.get(address).status_code == 200
        counted[address] = len(queries)
    return counted


def _rows():
    with connection.cursor() as cursor:
        tables = [
            table
            for table in connection.introspection.table_names()
            if not table.startswith("django_session")
        ]
        counted = {}
        for table in tables:
            cursor.execute(
                "SELECT count(*), md5(string_agg(row::text, '|' ORDER BY row::text)) FROM"
                f' "{table}" AS row'
            )
            counted[table] = cursor.fetchone()
    return counted
