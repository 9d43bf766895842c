"""Lists on a telephone, new rows at the top, selection and saved filters, in a browser."""

import re

import pytest
from playwright.sync_api import expect

from eventstore.models import Parked
from eventstore.testing import drain
from tests.admin import everything
from tests.admin.conftest import place_many

pytestmark = pytest.mark.usefixtures("browser")

TELEPHONE = {"width": 390, "height": 844}
# Of a row with one line of text, and of one with two.
ONE_LINE = 45


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.usefixtures("books")
def test_each_list_has_one_line_a_row_and_fits_a_telephone(open_as, staff, scheme):
    place_many(2)
    page = open_as(staff, color_scheme=scheme)
    page.set_viewport_size(TELEPHONE)
    troubles = []
    for address in everything.lists():
        page.goto(address)
        width = page.evaluate("document.documentElement.scrollWidth")
        heights = page.locator("#result_list tbody tr").evaluate_all(
            "all => all.map((each) => each.getBoundingClientRect().height)"
        )
        right = page.locator("#result_list").evaluate_all(
            "all => all.map((each) => each.getBoundingClientRect().right)"
        )
        if width > TELEPHONE["width"] or max(right, default=0) > TELEPHONE["width"]:
            troubles.append(f"{address} is {width} wide, its table ends at {right}")
        if max(heights, default=0) > ONE_LINE:
            troubles.append(f"{address} has rows of {max(heights):.0f}")
    assert not troubles, "\n".join(troubles)


@pytest.mark.usefixtures("shop")
def test_new_rows_come_to_the_top_while_a_list_is_open(open_as, viewer):
    place_many(1)
    page = open_as(viewer)
    page.goto("/admin/orders/orderdetails/")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    (newest,) = place_many(1)
    expect(page.locator("#result_list tbody tr")).to_have_count(2, timeout=20_000)
    first = page.locator("#result_list tbody tr").first
    expect(first.get_by_role("link")).to_have_attribute(
        "href", f"/admin/orders/orderdetails/{newest}/change/"
    )
    expect(first).to_have_class("es-new")
    expect(page.get_by_role("status")).to_have_text("New rows: 1")


@pytest.mark.usefixtures("shop")
def test_what_is_selected_is_acted_on_after_a_confirmation(open_as, operator, stuck):
    drain()
    page = open_as(operator)
    page.goto("/admin/eventstore/parked/")
    page.get_by_label("All on this page").check()
    expect(page.locator("#result_list input:checked")).to_have_count(Parked.objects.count())
    page.get_by_role("button", name="Discard").click()
    expect(page.get_by_text(f"payment-{stuck}")).to_be_visible()
    expect(page.get_by_role("button", name="Discard: 1")).to_be_visible()


@pytest.mark.usefixtures("shop")
def test_filters_are_saved_and_the_search_has_a_key(open_as, viewer):
    (order_id,) = place_many(1)
    page = open_as(viewer)
    page.goto("/admin/orders/orderdetails/?status=CONFIRMED")
    page.get_by_label("Save these filters as").fill("To be sent")
    page.keyboard.press("Enter")
    page.goto("/admin/orders/orderdetails/")
    page.get_by_role("link", name="To be sent").click()
    expect(page).to_have_url(re.compile(r"\?status=CONFIRMED$"))
    page.get_by_role("button", name="Forget To be sent").click()
    expect(page.get_by_role("link", name="To be sent")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.get_by_label("Search everything")).to_be_focused()
    page.keyboard.type(order_id[-8:])
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Order details")).to_be_visible()
    page.locator(f"a[href='/admin/orders/orderdetails/{order_id}/change/']").click()
    expect(page.locator("body")).to_contain_text(order_id)
