"""axe finds no violation of WCAG 2.1, levels A and AA, on any kind of page of the console."""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from tests.admin import everything

from .conftest import SIZE

ALL = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
# Rules that depend on the colour scheme, and those that need a small window.
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
SCROLLING = {"type": "rule", "values": ["scrollable-region-focusable"]}

SMALL = {"width": 420, "height": 300}
ROWS = 20

# Besides the lists and a page of each kind: pages with more content, and pages without a row.
OTHERS = (
    "",
    "eventstore/subscription/overview/",
    "eventstore/subscription/doctor/",
    "eventstore/subscription/payments.gateway/change/",
    "eventstore/projectionsubscription/orders.details/change/",
    "eventstore/projectionsubscription/inventory.stock_levels/change/",
    "eventstore/event/?beyond={event}",
    "eventstore/event/export/?since=2020-01-01T00:00:00",
    "eventstore/event/correlation/{correlation}/",
    "eventstore/sagastate/{saga}/change/",
    "eventstore/stream/order-{settled}/change/",
    "eventstore/stream/order-{settled}/fixture/",
    "eventstore/parked/?q=nothing",
    "eventstore/parked/act/retry/?subscription=payments.gateway",
    "orders/",
    "orders/orderdetails/{order}/change/",
    "orders/orderdetails/{order}/history/",
    "orders/orderdetails/act/return/?id={settled}",
    "orders/orderdetails/{order}/reveal/",
)


# In this order: `stuck` expects to be the only order.
@pytest.mark.usefixtures("settled", "books")
@pytest.mark.slow
def test_no_page_keeps_anybody_out(open_as, staff, settled):
    # axe and prepare() set inline styles, which the policy forbids; tests/admin checks our pages.
    page = open_as(staff, bypass_csp=True)
    others = [f"/admin/{each.format(**settled)}" for each in OTHERS]
    found = [
        line
        for address in everything.lists() + everything.pages() + others
        for line in barriers(page, address)
    ]
    page.context.clear_cookies()
    found += barriers(page, "/admin/login/")
    assert not found, "\n".join(found)


def barriers(page, address):
    page.set_viewport_size(SIZE)
    page.emulate_media(color_scheme="light")
    answer = page.goto(address)
    assert answer.ok, f"{address} answers {answer.status}"
    prepare(page)
    yield from violations(page, ALL, "light")
    page.emulate_media(color_scheme="dark")
    yield from violations(page, COLOURS, "dark")
    page.set_viewport_size(SMALL)
    yield from violations(page, SCROLLING, "small")


def prepare(page):
    """Open what is collapsed, which axe would skip; drop later rows of long tables, which are
    like the first and take most of the time; and stop the transitions between colour schemes."""
    page.locator("details").evaluate_all("all => all.forEach((each) => { each.open = true; })")
    page.locator(f"tbody tr:nth-child(n + {ROWS + 1})").evaluate_all(
        "all => all.forEach((each) => each.remove())"
    )
    page.add_style_tag(content="* { transition: none !important; }")
    page.evaluate(AXE_SCRIPT)


def violations(page, rules, how):
    report = page.evaluate(
        "(options) => axe.run(options)", {"runOnly": rules, "resultTypes": ["violations"]}
    )
    for each in report["violations"]:
        for node in each["nodes"]:
            yield (
                f"{page.url}, {how}: {each['id']} at {' '.join(map(str, node['target']))}:"
                f" {node['failureSummary']}"
            )
