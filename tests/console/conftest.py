"""A real browser for the console: an installed Chromium, headless."""

import math
import os
import shutil
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest

from eventstore.delivery import heartbeats, step
from eventstore.delivery import worker as working
from eventstore.models import Event, Parked, SagaState, Sample, Subscription
from eventstore.projections import rebuild
from eventstore.testing import drain
from orders.models import OrderDetails
from tests.admin.conftest import (  # noqa: F401  fixtures
    books,
    member,
    order,
    place,
    place_many,
    shop,
    staff,
)
from tests.eventstore.concurrently import in_thread

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SIZE = {"width": 1280, "height": 900}


def chromium():
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")
def browser():
    """Ends with its module: while it lives, no other test of the process may run an event loop."""
    path = chromium()
    if path is None:
        pytest.skip(
            f"NO BROWSER: set CHROMIUM, or install one of {', '.join(NAMES)}; the console was not"
            " clicked through"
        )
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        # Playwright runs an event loop in this thread, where Django forbids synchronous queries.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        chrome = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chrome
        chrome.close()


@pytest.fixture
def open_as(browser, live_server):
    """open_as(client): a page of this logged-in user. Errors in the browser's console fail the
    test."""
    complaints, windows = [], []

    def open_(client, **options):
        window = browser.new_context(base_url=live_server.url, viewport=SIZE, **options)
        windows.append(window)
        cookie = client.cookies["session"]
        window.add_cookies([{"name": "session", "value": cookie.value, "url": live_server.url}])
        page = window.new_page()
        page.set_default_timeout(10_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        return page

    yield open_
    for each in windows:
        each.close()
    assert complaints == []


@pytest.fixture
def operator(transactional_db):
    return member("grace", "operations", "--operate")


@pytest.fixture
def viewer(transactional_db):
    return member("ada", "support", "--view")


@pytest.fixture
def warehouse(transactional_db):
    return member("joan", "operations", "--view")


@pytest.fixture
def revealer(transactional_db):
    return member("petra", "privacy", "--reveal")


@pytest.fixture
def stuck(shop):  # noqa: F811
    """An order whose payment was given up: the gateway did not respond."""
    order_id = place()
    for subscription in ("orders.fulfilment", "payments"):
        step.step(subscription)
    requested = Event.objects.get(type="payments.payment_requested")
    Subscription.objects.filter(name="payments.gateway").update(position=requested.position)
    Parked.objects.create(
        subscription="payments.gateway",
        position=requested.position,
        key=requested.stream,
        status=Parked.Status.DEAD,
        attempts=12,
        due_at=None,
        error="TimeoutError: the gateway said nothing for 20 s",
        traceback=(
            "Traceback (most recent call last):\nTimeoutError: the gateway said nothing for 20 s"
        ),
    )
    return order_id


@pytest.fixture
def history(shop):  # noqa: F811
    """A day of samples: busy in the middle, behind for a while. Returns the summary of the last
    hour."""
    Sample.objects.bulk_create(
        each for subscription in ("", "orders.details") for each in a_day_of(subscription)
    )
    return "At most 40.0 messages a second, and 9.0 s behind."


@pytest.fixture
def settled(history, stuck, no_tables_left, settings):
    """A shop with problems: a payment that was given up, a read model that differs from the log."""
    settings.EVENTSTORE_ENVIRONMENT = "staging"
    place_many(12)
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    heartbeats.note(heartbeats.BEAT)
    OrderDetails.objects.filter(
        pk__in=OrderDetails.objects.exclude(pk=stuck).values("pk")[:3]
    ).update(status="PLACED")
    rebuild.request("orders.details", who="grace", reason="three orders look wrong", swap=False)
    rebuild.work(seconds=30)
    rebuild.request("inventory.stock_levels", who="grace", reason="a new column")
    drain()
    saga = SagaState.objects.filter(status="COMPLETED").latest("pk")
    confirmed = Event.objects.filter(stream=f"order-{saga.key}").latest("position")
    return {
        "order": stuck,
        "settled": saga.key,
        "saga": saga.pk,
        "event": confirmed.position,
        "correlation": saga.correlation_id,
    }


def a_day_of(subscription):
    slot, position = int(time.time() // 30), 0
    for ago in reversed(range(2880)):
        rate = 10 if ago < 60 else 40 if ago < 120 else int(20 + 18 * math.sin(ago / 300))
        seconds = 9.0 if 40 < ago < 50 else 35.0 if 1000 < ago < 1100 else 0.4
        position += rate * 30
        at = datetime.fromtimestamp((slot - ago) * 30 + 1, UTC)
        outgoing = int(seconds * rate)
        yield Sample(
            subscription=subscription,
            slot=slot - ago,
            at=at,
            position=position,
            events=outgoing,
            seconds=seconds,
        )


@contextmanager
def worker():
    """A worker that does its housekeeping more often than in production, so that tests need not
    wait."""

    def work():
        working.work(seconds=0.2)
        working.housekeep()

    with _again_and_again(work):
        yield


@contextmanager
def orders_arriving():
    """Places orders one after another until the end. Yields the list of them."""
    placed = []
    with _again_and_again(lambda: placed.append(place())):
        yield placed


@contextmanager
def _again_and_again(act):
    over = threading.Event()

    def until_it_is_over():
        while not over.wait(0.05):
            act()

    running = in_thread(until_it_is_over)
    try:
        yield
    finally:
        over.set()
        running.result(30)
