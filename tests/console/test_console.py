"""What operators do in the console, in a real browser."""

import json
from itertools import combinations

import pytest
from playwright.sync_api import expect

from eventstore.models import OperatorAction, Subscription
from eventstore.testing import drain
from orders.models import OrderDetails
from tests.admin.conftest import place_many

from .conftest import orders_arriving, worker

pytestmark = pytest.mark.usefixtures("browser")


def test_why_an_order_stands_where_it_stands_is_three_clicks_away(open_as, operator, stuck):
    drain()
    page = open_as(operator)
    page.goto("/admin/")
    page.get_by_role("link", name="Order details", exact=True).first.click()
    page.locator("#searchbar").fill(stuck)
    page.keyboard.press("Enter")
    page.locator("#result_list a").first.click()
    expect(page.get_by_role("row", name="dead after 12 attempts")).to_contain_text(
        "the gateway said nothing"
    )
    page.get_by_role("row", name="dead after 12 attempts").get_by_role("link").first.click()
    expect(page.locator("body")).to_contain_text("Traceback (most recent call last)")
    expect(page.get_by_role("link", name="Retry now")).to_be_visible()


def test_a_dead_letter_is_tried_again_and_its_order_goes_through(open_as, operator, stuck):
    drain()
    page = open_as(operator)
    page.goto("/admin/eventstore/parked/")
    page.locator("#result_list a").first.click()
    page.get_by_role("link", name="Retry now").click()
    button = page.get_by_role("button", name="Retry now: 1")
    button.click()
    expect(page.get_by_label("Reason")).to_be_focused()
    assert not OperatorAction.objects.exists(), "the browser does not send it without a reason"
    page.get_by_label("Reason").fill("the gateway is up again")
    button.click()
    expect(page.get_by_text("Done and recorded: 1.")).to_be_visible()
    drain()
    assert OrderDetails.objects.get(pk=stuck).status == "CONFIRMED"
    page.goto("/admin/eventstore/operatoraction/")
    expect(page.locator("#result_list")).to_contain_text("the gateway is up again")


@pytest.mark.usefixtures("shop")
def test_a_subscription_is_paused_and_goes_on(open_as, operator):
    page = open_as(operator)
    page.goto("/admin/eventstore/subscription/payments.gateway/change/")
    for label, paused in (("Pause", True), ("Resume", False)):
        page.get_by_role("link", name=label).click()
        page.get_by_label("Reason").fill("the provider moves house")
        page.get_by_role("button", name=label).click()
        expect(page.locator("#es-now")).to_contain_text("paused" if paused else "running")
        assert Subscription.objects.get(name="payments.gateway").paused is paused


@pytest.mark.usefixtures("shop", "no_tables_left")
def test_a_read_model_is_rebuilt_while_orders_arrive_and_taken_back(open_as, operator):
    place_many(40)
    OrderDetails.objects.update(status="SPOILT")
    page = open_as(operator)
    page.goto("/admin/eventstore/projectionsubscription/")
    page.get_by_role("link", name="orders.details", exact=True).click()
    _say(page, "Rebuild and compare", "is it right?")
    expect(page.get_by_role("progressbar")).to_have_attribute("value", "0")
    with orders_arriving() as placed, worker():
        expect(page.get_by_role("heading", name="Ready to swap")).to_be_visible(timeout=20_000)
        expect(page.get_by_role("progressbar")).to_have_attribute("value", "100")
        expect(page.get_by_role("row", name='"SPOILT" "CONFIRMED"').first).to_be_visible(
            timeout=20_000
        )
        assert OrderDetails.objects.filter(status="SPOILT").count() == 40, (
            "nobody has seen any of it yet"
        )
        _say(page, "Swap", "it was not right")
        expect(page.locator("#es-rebuild")).to_contain_text("swapped", timeout=20_000)
        assert not OrderDetails.objects.filter(status="SPOILT").exists()
        _say(page, "Roll back", "to see the old one again")
        expect(page.get_by_text("is live and continues from position")).to_be_visible()
    drain()
    assert OrderDetails.objects.filter(status="SPOILT").count() == 40
    assert OrderDetails.objects.filter(status="CONFIRMED").count() == len(placed) > 0


def test_a_saga_is_drawn_with_where_it_stands_and_what_comes_of_a_step(open_as, operator, stuck):
    page = open_as(operator)
    page.goto("/admin/eventstore/sagastate/")
    page.locator("#result_list a").first.click()
    picture = page.get_by_role("group", name="The states of the saga")
    expect(picture.locator("rect.es-box-now")).to_have_count(1)
    picture.get_by_role("link").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("body")).to_contain_text("orders.order_placed")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_business_transaction_is_drawn_over_time_and_nothing_covers_another(
    open_as, operator, stuck, scheme
):
    drain()
    place_many(1)
    page = open_as(operator, color_scheme=scheme)
    page.goto("/admin/eventstore/event/")
    page.locator("td.field-correlation a").first.click()
    picture = page.get_by_role("group", name="events in 4 lanes over time")
    # Neither a click nor a count waits for the next page.
    expect(picture.locator("a").nth(5)).to_be_visible()
    boxes = picture.locator("text").evaluate_all(
        "all => all.map(each => each.getBoundingClientRect()).map(box => [box.left, box.right,"
        " box.top, box.bottom])"
    )
    assert all(apart(one, other) for one, other in combinations(boxes, 2))
    picture.get_by_role("link").last.focus()
    page.keyboard.press("Enter")
    expect(page.locator("[aria-current=true]").first).to_be_visible()


def apart(one, other):
    return one[1] <= other[0] or other[1] <= one[0] or one[3] <= other[2] or other[3] <= one[2]


def test_who_may_only_look_is_offered_nothing_and_refused_by_address(open_as, viewer, stuck):
    page = open_as(viewer)
    for address in (
        "parked/",
        "projectionsubscription/orders.details/change/",
        "subscription/payments.gateway/change/",
    ):
        page.goto(f"/admin/eventstore/{address}")
        expect(page.locator("#content")).to_be_visible()
        expect(page.locator("a[href*='/act/']")).to_have_count(0)
    assert (
        page.request.get(
            "/admin/eventstore/projectionsubscription/act/rebuild/?name=orders.details"
        ).status
        == 403
    )


@pytest.mark.usefixtures("shop")
def test_a_stream_is_gone_through_by_the_keyboard(open_as, viewer):
    (order_id,) = place_many(1)
    page = open_as(viewer)
    page.goto("/admin/eventstore/stream/")
    page.locator("#searchbar").fill(f"order-{order_id}")
    page.keyboard.press("Enter")
    page.locator("#result_list a").first.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="State at version 2, the last")).to_be_visible()
    page.wait_for_load_state()  # the slider's script loads after the heading
    page.get_by_label("Version", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_role("heading", name="State at version 1")).to_be_visible()
    expect(page.get_by_role("row", name="status")).to_contain_text(['"placed"'])
    page.get_by_label("From version").fill("1")
    page.get_by_label("to", exact=True).fill("2")
    page.keyboard.press("Enter")
    expect(page.get_by_role("row", name='status "placed" "confirmed"')).to_be_visible()


def test_support_cancels_an_order_and_sees_it_undone(open_as, viewer, stuck):
    drain()
    page = open_as(viewer)
    page.goto(f"/admin/orders/orderdetails/{stuck}/change/")
    _say(page, "Cancel the order", "the wrong colour")
    expect(
        page.get_by_text("The order is cancelled; its saga undoes what was done.")
    ).to_be_visible()
    drain()
    page.reload()
    expect(page.get_by_role("row", name="Status CANCELLED: the wrong colour")).to_be_visible()
    expect(page.get_by_role("link", name="Cancel the order")).to_have_count(0)


@pytest.mark.usefixtures("shop")
def test_support_takes_one_of_two_back_and_its_money_is_returned(open_as, viewer, warehouse):
    (order_id,) = place_many(1)
    page = open_as(viewer)
    page.goto(f"/admin/orders/orderdetails/{order_id}/change/")
    page.get_by_role("link", name="Request a return").click()
    page.get_by_label("A <b>cup</b>, at most 2").fill("1")
    page.get_by_label("Reason").fill("one is broken")
    page.get_by_role("button", name="Request a return").click()
    expect(page.get_by_text("is requested.")).to_be_visible()
    drain()
    page = open_as(warehouse)
    page.goto(f"/admin/orders/orderdetails/{order_id}/change/")
    page.locator("a[href*='/returnview/'][href$='/change/']").click()
    _say(page, "Receive the goods", "a parcel")
    expect(
        page.get_by_text("The goods are received; they are restocked and refunded next.")
    ).to_be_visible()
    drain()
    page.reload()
    expect(page.get_by_role("row", name="Status COMPLETED: one is broken")).to_be_visible()
    expect(page.get_by_role("row", name="Refund 4.50 EUR; refunded 4.50 EUR")).to_be_visible()


def test_a_saga_is_told_to_turn_back(open_as, operator, stuck):
    page = open_as(operator)
    page.goto("/admin/eventstore/sagastate/")
    page.locator("#result_list a").first.click()
    _say(page, "Compensate", "a bot")
    expect(page.get_by_text("Sent to the saga and recorded")).to_be_visible()
    page.goto("/admin/eventstore/operatoraction/")
    expect(page.locator("#result_list")).to_contain_text("a bot")


@pytest.mark.usefixtures("shop")
def test_a_person_is_shown_once_to_who_may_and_says_why(open_as, revealer):
    (order_id,) = place_many(1)
    page = open_as(revealer)
    page.goto(f"/admin/orders/orderdetails/{order_id}/change/")
    expect(page.get_by_role("row", name="Address").first).not_to_contain_text("Ada")
    page.get_by_role("link", name="Reveal personal data").click()
    page.get_by_label("Reason").fill("she has asked what we know")
    page.get_by_role("button", name="Reveal").click()
    expect(page.get_by_role("row", name="Address").first).to_contain_text("Ada")
    page.goto(f"/admin/orders/orderdetails/{order_id}/change/")
    expect(page.get_by_role("row", name="Address").first).not_to_contain_text("Ada")
    assert OperatorAction.objects.get().reason == "she has asked what we know"


@pytest.mark.usefixtures("shop")
def test_what_a_list_finds_is_taken_away_with_nobody_in_it(open_as, viewer):
    (order_id,) = place_many(1)
    page = open_as(viewer)
    page.goto("/admin/eventstore/event/?type=orders.order_placed")
    page.get_by_role("link", name="Export").click()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download, personal data masked").click()
    (line,) = download.value.path().read_text().splitlines()
    assert json.loads(line)["stream"] == f"order-{order_id}"
    assert "Ada" not in line


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_charts_are_drawn_and_read_without_seeing_them(open_as, operator, history, scheme):
    page = open_as(operator, color_scheme=scheme)
    page.goto("/admin/")
    page.get_by_role("link", name="Overview").first.click()
    hour = page.locator("figure").first
    expect(page.locator("figure canvas")).to_have_count(2)
    expect(hour.get_by_role("img")).to_have_attribute("aria-label", f"The last hour: {history}")
    hour.locator("summary").focus()
    page.keyboard.press("Enter")
    expect(hour.locator("details tbody tr").last).to_be_visible()
    expect(hour.locator("details tbody tr")).to_have_count(60)


@pytest.mark.usefixtures("shop")
def test_the_overview_follows_what_happens_until_it_is_told_to_stop(open_as, operator):
    page = open_as(operator)
    page.clock.install()
    page.goto("/admin/eventstore/subscription/overview/")
    Subscription.objects.filter(name="shipping.carrier").update(paused=True)
    page.clock.fast_forward("00:06")
    expect(page.locator("#es-indicators").get_by_role("row", name="Paused")).to_contain_text(
        "shipping.carrier"
    )
    page.get_by_role("button", name="Pause updates").click()
    Subscription.objects.filter(name="shipping.carrier").update(paused=False)
    page.clock.fast_forward("00:06")
    page.get_by_role("button", name="Resume updates").click()
    expect(page.locator("#es-indicators").get_by_role("row", name="Paused")).to_contain_text(
        "shipping.carrier"
    )
    page.clock.fast_forward("00:06")
    expect(page.locator("#es-indicators").get_by_role("row", name="Paused")).to_contain_text(
        "every subscription runs"
    )


@pytest.mark.usefixtures("stuck")
def test_a_dead_letter_is_tried_again_by_the_keyboard_alone(open_as, operator):
    page = open_as(operator)
    page.goto("/admin/eventstore/parked/")
    _press(page, page.get_by_role("link", name="Skip to main content"))
    _press(page, page.locator("#result_list a").first)
    _press(page, page.get_by_role("link", name="Retry now"))
    _tab_to(page, page.get_by_label("Reason"))
    page.keyboard.type("the gateway is up again")
    _press(page, page.get_by_role("button", name="Retry now: 1"))
    expect(page.get_by_text("Done and recorded: 1.")).to_be_visible()


@pytest.mark.usefixtures("shop")
def test_the_overview_is_gone_through_by_the_keyboard_alone(open_as, operator):
    page = open_as(operator)
    page.goto("/admin/eventstore/subscription/overview/")
    _press(page, page.get_by_role("button", name="Pause updates"))
    expect(page.get_by_role("button", name="Resume updates")).to_be_focused()
    _press(
        page,
        page.locator("#es-subscriptions").get_by_role("link", name="orders.details", exact=True),
    )
    expect(page.get_by_role("heading", name="Event types")).to_be_visible()


def _say(page, label, reason):
    page.get_by_role("link", name=label).click()
    page.get_by_label("Reason").fill(reason)
    page.get_by_role("button", name=label).click()


def _press(page, target):
    _tab_to(page, target)
    page.keyboard.press("Enter")


def _tab_to(page, target):
    """Reach the target by the Tab key, within 60 steps."""
    expect(target).to_be_attached()
    for _ in range(60):
        page.keyboard.press("Tab")
        if target.evaluate("(each) => each === document.activeElement"):
            return
    raise AssertionError(f"{target} is more than 60 steps away")
