"""Lists: keyset pagination, each page after the last key of the one before."""

import threading
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver
from django.utils import timezone

from eventstore.api.queries import PagesView
from eventstore.api.stored import StoredPagesView
from eventstore.testing import drain
from orders.models import OrderDetails

from .conftest import ADDRESS, pointers, problem
from .test_writable import views

pytestmark = pytest.mark.usefixtures("shop")

ORDERS = "/api/queries/orders/"
BODY = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}


def walk(api, path):
    while path:
        answer = api.get(path)
        page = answer.json()
        assert set(page) == {"data", "has_more", "next"}
        assert page["has_more"] is (page["next"] is not None)
        assert answer.get("Link") == (f'<{page["next"]}>; rel="next"' if page["has_more"] else None)
        yield [order["order_id"] for order in page["data"]]
        path = page["next"]


def test_an_empty_list_has_all_its_members(ada):
    assert ada.get(ORDERS).json() == {"data": [], "has_more": False, "next": None}


def test_the_pages_hold_each_order_once_the_newest_first(ada):
    placed = [ada.placed() for _ in range(5)]
    drain()
    assert list(walk(ada, f"{ORDERS}?limit=2")) == [placed[:2:-1], placed[2:0:-1], placed[:1]]
    assert list(walk(ada, f"{ORDERS}?limit=5")) == [placed[::-1]]


def test_the_newest_come_first_whatever_time_their_keys_have(ada):
    """The id of an order is derived from its key, and need not grow with time."""
    placed = []
    for key in ("a", "b", "c", "d", "e"):
        answer = ada.post("/api/commands/orders/", BODY, **{"Idempotency-Key": key})
        placed.append(answer.json()["order_id"])
    drain()
    assert placed != sorted(placed)
    assert list(walk(ada, f"{ORDERS}?limit=2")) == [placed[:2:-1], placed[2:0:-1], placed[:1]]


def test_orders_of_one_moment_are_told_once(ada):
    placed = sorted(ada.placed() for _ in range(5))
    drain()
    OrderDetails.objects.update(placed_at=timezone.now())
    assert list(walk(ada, f"{ORDERS}?limit=2")) == [placed[:2:-1], placed[2:0:-1], placed[:1]]


def test_an_order_placed_meanwhile_moves_nothing(ada):
    placed = [ada.placed() for _ in range(3)]
    drain()
    pages = walk(ada, f"{ORDERS}?limit=2")
    first = next(pages)
    ada.placed()
    drain()
    assert [first, *pages] == [placed[:0:-1], placed[:1]]


def test_while_others_write_no_order_is_left_out_or_told_twice(ada, grace, support):
    there = [ada.placed() for _ in range(12)]
    drain()
    over = threading.Event()

    def write():
        try:
            while not over.is_set():
                grace.placed({"sku": "POT", "quantity": 1}, payment_method="tok_declined")
                drain()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        try:
            walks = [
                [order for page in walk(support, f"{ORDERS}?limit=2") for order in page]
                for _ in range(3)
            ]
        finally:
            over.set()
        writing.result(60)
    for found in walks:
        assert [order for order in found if order in there] == there[::-1]
        assert len(set(found)) == len(found)


@pytest.mark.parametrize(
    "odd",
    ["'", '"', "' OR 1=1--", "%27;DROP TABLE orders_order_details", "{}", "$1", "%(x)s", "\\"],
)
def test_what_is_asked_for_is_compared_and_never_run(ada, support, odd):
    ada.placed()
    drain()
    query = urlencode({"customer": odd})
    assert support.get(f"{ORDERS}?{query}").json()["data"] == []
    assert support.get(f"/api/queries/returns/?{urlencode({'order': odd})}").json()["data"] == []


def test_customers_list_their_own_and_staff_anybodys(ada, grace, support):
    hers, theirs = ada.placed(), grace.placed()
    drain()
    assert list(walk(ada, ORDERS)) == [[hers]]
    assert list(walk(ada, f"{ORDERS}?customer={ada.customer_id}")) == [[hers]]
    assert list(walk(support, ORDERS)) == [[theirs, hers]]
    assert list(walk(support, f"{ORDERS}?customer={ada.customer_id}")) == [[hers]]
    assert list(walk(support, f"{ORDERS}?customer=nobody")) == [[]]
    problem(ada.get(f"{ORDERS}?customer={grace.customer_id}"), 403, "PermissionDenied")


def test_the_filter_is_kept_from_page_to_page(ada, grace, support):
    hers = [ada.placed() for _ in range(3)]
    grace.placed()
    drain()
    assert list(walk(support, f"{ORDERS}?customer={ada.customer_id}&limit=2")) == [
        hers[:0:-1],
        hers[:1],
    ]


def test_orders_are_found_by_status_and_time(ada, support):
    confirmed, cancelled = ada.placed(), ada.placed(payment_method="tok_declined")
    drain()
    assert list(walk(ada, f"{ORDERS}?status=CONFIRMED")) == [[confirmed]]
    assert list(walk(support, f"{ORDERS}?status=CANCELLED&customer={ada.customer_id}&limit=1")) == [
        [cancelled]
    ]
    moment = ada.get(f"{ORDERS}{cancelled}/").json()["placed_at"]
    assert list(walk(ada, f"{ORDERS}?placed_from={moment}")) == [[cancelled]]
    assert list(walk(ada, f"{ORDERS}?placed_before={moment}")) == [[confirmed]]
    assert list(walk(ada, f"{ORDERS}?placed_from=2000-01-01T00:00:00Z&limit=1")) == [
        [cancelled],
        [confirmed],
    ]


def test_products_come_by_sku(ada):
    first = ada.get("/api/queries/products/?limit=1").json()
    second = ada.get(first["next"]).json()
    assert [product["sku"] for page in (first, second) for product in page["data"]] == [
        "CUP",
        "POT",
    ]
    assert second["has_more"] is False
    assert all(product["version"] == 1 and product["position"] > 0 for product in first["data"])


def test_stock_comes_by_sku_and_says_what_is_available(ada, operator):
    ada.placed({"sku": "POT", "quantity": 3})
    drain()
    first = operator.get("/api/queries/stock/?limit=1").json()
    second = operator.get(first["next"]).json()
    levels = [level for page in (first, second) for level in page["data"]]
    assert [(level["sku"], level["received"], level["available"]) for level in levels] == [
        ("CUP", 10, 10),
        ("POT", 10, 7),
    ]
    assert second["has_more"] is False
    assert levels[1] == operator.get("/api/queries/stock/POT/").json()


@pytest.mark.parametrize(
    ("path", "done", "undone"),
    [("payments", "COMPLETED", "FAILED"), ("shipments", "CREATED", "REFUSED")],
)
def test_payments_and_parcels_are_found_by_status(ada, support, path, done, undone):
    good, more = ada.placed(), ada.placed()
    declined = ada.placed(payment_method="tok_declined")
    drain()
    every, paid = [more, good], [declined, more, good]
    assert list(walk(support, f"/api/queries/{path}/?status={done}&limit=1")) == [[more], [good]]
    assert list(walk(support, f"/api/queries/{path}/")) == [paid if path == "payments" else every]
    assert list(walk(support, f"/api/queries/{path}/?status={undone}")) == [
        [declined] if path == "payments" else []
    ]
    assert pointers(support.get(f"/api/queries/{path}/?status=MISLAID")) == ["status"]
    problem(ada.get(f"/api/queries/{path}/"), 403, "PermissionDenied")


# Every list with its filters. A page must come out of an index in its order.
PARAMETERS = {
    "api/queries/orders/": [
        "",
        "customer=ada",
        "status=PLACED",
        "reference=600001",
        "placed_from=2000-01-01T00:00:00Z",
    ],
    "api/queries/returns/": ["", "customer=ada", "order=x"],
    "api/queries/bookings/": ["", "exceptions=yes"],
    "api/queries/products/": [""],
    "api/queries/stock/": [""],
    "api/queries/payments/": ["", "status=COMPLETED"],
    "api/queries/shipments/": ["", "status=CREATED"],
}


def test_all_lists_are_asked_for_all_that_they_can_be_asked_for():
    lists = {
        route: view
        for route, view in views(get_resolver().url_patterns)
        # The plans of lists that are no read models are in tests/plans.
        if issubclass(view, PagesView) and not issubclass(view, StoredPagesView)
    }
    assert set(lists) == set(PARAMETERS)
    for route, view in lists.items():
        allowed = {query.partition("=")[0] for query in PARAMETERS[route]} | {
            "limit",
            "cursor",
            "placed_before",
            "",
        }
        assert set(view.parameters().fields) <= allowed, route


@pytest.mark.parametrize(
    "address", [f"/{route}?{query}" for route, each in PARAMETERS.items() for query in each]
)
def test_a_page_is_read_from_an_index_and_nothing_is_sorted(person, address):
    with CaptureQueriesContext(connection) as captured:
        assert person("root", is_superuser=True).get(address).status_code == 200
    [query] = [each["sql"] for each in captured if "LIMIT 51" in each["sql"]]
    with connection.cursor() as cursor:
        cursor.execute(
            "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off"
        )
        try:
            cursor.execute(f"EXPLAIN {query}")
            plan = "\n".join(line for (line,) in cursor.fetchall())
        finally:
            cursor.execute("RESET enable_seqscan; RESET enable_bitmapscan; RESET enable_sort")
    assert "Index" in plan, plan
    assert "Sort" not in plan, plan


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1e1", "limit"),
        ("limit=%D9%A1", "limit"),
        ("limit=", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=forged", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%ff", "cursor"),
        ("page=2", "page"),
        ("status=LOST", "status"),
        ("status=PLACED&status=PLACED", "status"),
        ("status__in=PLACED", "status__in"),
        ("ordering=customer_id", "ordering"),
        ("placed_from=yesterday", "placed_from"),
        ("placed_before=1", "placed_before"),
        ("customer=%00", "customer"),
        (f"customer={'x' * 151}", "customer"),
    ],
)
def test_what_cannot_be_asked_is_named(support, query, pointer):
    assert set(pointers(support.get(f"{ORDERS}?{query}"))) == {pointer}


def test_a_cursor_of_another_list_is_forged(ada):
    cursor = ada.get("/api/queries/products/?limit=1").json()["next"].partition("cursor=")[2]
    assert pointers(ada.get(f"{ORDERS}?cursor={cursor}")) == ["cursor"]


def test_one_row_takes_no_parameters(ada):
    assert pointers(ada.get("/api/queries/products/CUP/?fields=sku")) == ["fields"]


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("orders/?limit=0", "Ensure this value is greater than or equal to 1."),
        ("orders/?limit=-1", "Expected a whole number from 1 to 100."),
        (
            f"products/CUP/?version={10**20 - 1}",
            f"Expected a whole number from 1 to {2**31 - 1}.",
        ),
        (
            "orders/?placed_from=2026-01-01T00:00:00",
            "Expected a time with its zone (RFC 3339) such as 2026-01-31T12:00:00Z, or a date.",
        ),
    ],
)
def test_a_problem_says_what_a_parameter_may_be(ada, path, detail):
    [fault] = problem(ada.get(f"/api/queries/{path}"), 400)["errors"]
    assert fault["detail"] == detail


def test_the_bounds_of_a_history_are_said(ada):
    path = f"/api/queries/orders/{ada.placed()}/history/?after={2**63 - 1}"
    [fault] = problem(ada.get(path), 400)["errors"]
    assert fault["detail"] == f"Expected a whole number from 0 to {10**18 - 1}."


def test_a_date_is_its_midnight_in_utc_and_pages_go_on_with_it(ada):
    placed = [ada.placed() for _ in range(2)]
    drain()
    found = [row for page in walk(ada, f"{ORDERS}?placed_from=2020-02-29&limit=1") for row in page]
    assert found == placed[::-1]
    assert ada.get(f"{ORDERS}?placed_before=2020-02-29").json()["data"] == []


def test_the_address_of_the_next_page_has_times_of_rfc_3339(ada):
    ada.placed(), ada.placed()
    drain()
    for given in ("2026-01-01", "2026-01-01T01:00:00%2B01:00", "2026-01-01T00:00:00Z"):
        following = ada.get(f"{ORDERS}?limit=1&placed_from={given}").json()["next"]
        assert "placed_from=2026-01-01T00%3A00%3A00Z&" in following
        assert len(ada.get(following).json()["data"]) == 1
