"""Takes the screenshots in docs/images. Not named like a test, so only `make screens` runs it."""

import pytest

from config.settings import BASE_DIR

# Also in dark mode; the other pages consist of the same parts.
DARK = ("overview", "projection", "saga", "transaction")
IMAGES = BASE_DIR / "docs" / "images"
PAGES = {
    "overview": "eventstore/subscription/overview/",
    "subscription": "eventstore/subscription/orders.details/change/",
    "parked": "eventstore/parked/",
    "act": "eventstore/parked/act/retry/?subscription=payments.gateway",
    "order": "orders/orderdetails/{order}/change/",
    "subscriptions": "eventstore/subscription/",
    "events": "eventstore/event/",
    "event": "eventstore/event/{event}/change/",
    "stream": "eventstore/stream/order-{settled}/change/",
    "transaction": "eventstore/event/correlation/{correlation}/",
    "saga": "eventstore/sagastate/{saga}/change/",
    "projections": "eventstore/projectionsubscription/",
    "projection": "eventstore/projectionsubscription/orders.details/change/",
    "projection-folding": "eventstore/projectionsubscription/inventory.stock_levels/change/",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pictures(open_as, operator, settled, scheme):
    page = open_as(operator, color_scheme=scheme)
    for name in PAGES if scheme == "light" else DARK:
        page.goto(f"/admin/{PAGES[name].format(**settled)}")
        page.wait_for_load_state("networkidle")
        file = f"admin-{name}.png" if scheme == "light" else f"admin-{name}-dark.png"
        page.screenshot(path=IMAGES / file, full_page=True)
