"""Large data comes in more pages, each of bounded bytes, and is complete."""

import pytest

from eventstore import settings
from eventstore.commands import repository
from eventstore.live.followers import MAILBOX_BYTES
from eventstore.testing import drain
from orders.models import OrderDetails

pytestmark = pytest.mark.usefixtures("shop")

ORDERS = "/api/queries/orders/"
LINES = 500
SMALL = 1 << 16


@pytest.fixture
def large(ada, settings):
    """Seven orders of five hundred lines; a page has 64 kB."""
    settings.EVENTSTORE_PAGE_BYTES = SMALL
    placed = [
        ada.place(*({"sku": "CUP", "quantity": 1} for _ in range(LINES))).json()["order_id"]
        for _ in range(7)
    ]
    drain()
    return placed


def walked(ada, address):
    """All pages, each with its size in bytes."""
    while address:
        answer = ada.get(address)
        page = answer.json()
        yield page, len(answer.content)
        assert page["has_more"] == (page["next"] is not None)
        address = page["next"]


def test_a_page_of_orders_ends_early_and_the_next_one_goes_on(ada, large):
    pages = list(walked(ada, f"{ORDERS}?limit=100"))
    assert [each["order_id"] for page, _ in pages for each in page["data"]] == sorted(
        large, reverse=True
    )
    one = max(size for _, size in pages) / max(len(page["data"]) for page, _ in pages)
    assert len(pages) > 3
    assert all(size <= SMALL + one + 1000 for _, size in pages)


def test_so_does_a_page_of_small_orders_only_by_its_rows(ada, settings):
    placed = [ada.place().json()["order_id"] for _ in range(5)]
    drain()
    pages = list(walked(ada, f"{ORDERS}?limit=2"))
    assert [len(page["data"]) for page, _ in pages] == [2, 2, 1]
    assert [each["order_id"] for page, _ in pages for each in page["data"]] == sorted(
        placed, reverse=True
    )


def test_what_is_larger_than_a_page_is_one(ada, large, settings):
    settings.EVENTSTORE_PAGE_BYTES = 1
    pages = list(walked(ada, f"{ORDERS}?limit=100"))
    assert [len(page["data"]) for page, _ in pages] == [1] * 7


def test_a_page_of_a_history_ends_early_and_the_next_one_goes_on(ada, large, settings):
    address = f"{ORDERS}{large[0]}/history/"
    settings.EVENTSTORE_PAGE_BYTES = 1 << 24
    [(whole, size)] = walked(ada, address)
    settings.EVENTSTORE_PAGE_BYTES = 1 << 12
    pages = list(walked(ada, address))
    assert [each for page, _ in pages for each in page["data"]] == whole["data"]
    assert len(pages) > 1
    assert max(bytes_ for _, bytes_ in pages) < size


def test_the_defaults_hold_what_a_shop_of_usual_orders_needs(ada):
    """Twenty thousand states fit, and a socket holds a page and the largest possible event."""
    order_id = ada.place().json()["order_id"]
    drain()
    state = repository.cache.states[f"order-{order_id}"]
    assert repository.size_of(state) * repository.REMEMBERED < settings.remembered_bytes()
    assert max(settings.max_message_bytes(), settings.page_bytes()) <= MAILBOX_BYTES
    assert OrderDetails.objects.count() == 1
