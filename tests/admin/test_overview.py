"""The overview's indicators: good, waiting or bad."""

import html
from datetime import UTC, datetime, timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventstore.delivery import heartbeats
from eventstore.models import OutboxMessage, Parked, Sample, Subscription

from .conftest import place, place_many
from .test_every_page import INLINE

OVERVIEW = "/admin/eventstore/subscription/overview/"
DOCTOR = "/admin/eventstore/subscription/doctor/"
SUBSCRIPTION = "/admin/eventstore/subscription/orders.details/change/"


def indicators(client):
    found = client.get(OVERVIEW).context["indicators"]
    return {each.name: (each.state, each.level) for each in found}


def test_all_is_well_when_all_is_delivered_and_a_worker_is_heard(staff, order):
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    found = indicators(staff)
    assert found["Subscriptions"] == ("up to date", "good")
    assert found["Dead letters"] == ("none", "good")
    assert found["Paused"] == ("none", "good")
    assert found["Workers"] == ("running", "good")


@pytest.mark.usefixtures("shop")
def test_what_is_wrong_is_said(staff):
    place()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    OutboxMessage.objects.update(created_at=long_ago)
    Parked.objects.create(
        subscription="payments.gateway", position=1, key="payment-1", status="dead"
    )
    Subscription.objects.filter(name="shipping.carrier").update(paused=True)
    found = indicators(staff)
    assert found["Subscriptions"] == ("far behind", "bad")
    assert found["Dead letters"] == ("some", "bad")
    assert found["Paused"] == ("some", "waiting")
    assert found["Workers"] == ("none", "bad")
    page = staff.get(DOCTOR)
    assert page.context["findings"]
    shown = html.unescape(page.content.decode())
    assert all(each.mend in shown for each, _ in page.context["findings"])


@pytest.mark.usefixtures("order")
def test_the_samples_of_the_last_hour_and_day_are_a_table_to_be_drawn(staff):
    now = datetime.now(UTC)
    for minutes, position, events, seconds in (
        (90, 100, 0, 0.0),
        (2, 1000, 40, 12.5),
        (1, 1600, 0, 0.0),
    ):
        _sample("", now - timedelta(minutes=minutes), position, events, seconds)
        _sample("orders.details", now - timedelta(minutes=minutes), position // 2, events, seconds)
    for address, rate in ((OVERVIEW, 10.0), (SUBSCRIPTION, 5.0)):
        page = staff.get(address)
        hour, day = page.context["charts"]
        assert (len(hour.points), len(day.points)) == (60, 96)
        assert [(each.rate, each.seconds) for each in hour.points if each.events is not None] == [
            (None, 12.5),
            (rate, 0),
        ]
        assert max(each.seconds for each in day.points if each.seconds is not None) == 12.5
        assert hour.summary == f"at most {rate} messages a second, and 12 s behind"
        assert page.content.decode().count("<time datetime") >= 156, "a row for each step"


@pytest.mark.usefixtures("order")
def test_where_nobody_took_samples_the_page_says_so_and_why(staff):
    page = staff.get(OVERVIEW).content.decode()
    assert "data-chart" not in page
    assert "No samples in this time" in page
    assert indicators(staff)["Log"] == ("not measured", "waiting")


@pytest.mark.usefixtures("order")
def test_a_subscription_tells_its_last_error(staff):
    assert (
        '<th scope="row">Last error</th><td>none</td>' in staff.get(SUBSCRIPTION).content.decode()
    )
    for position, error in ((1, "TimeoutError: once"), (2, "ConnectionError: twice"), (3, "")):
        Parked.objects.create(
            subscription="orders.details", position=position, key="a", status="failed", error=error
        )
    assert staff.get(SUBSCRIPTION).context["last_error"].error == "ConnectionError: •••", (
        "no message is there"
    )


def test_every_page_says_which_place_it_is_of(staff, settings):
    assert "es-environment" not in staff.get("/admin/").content.decode()
    settings.EVENTSTORE_ENVIRONMENT = "production"
    for address in ("/admin/", OVERVIEW, "/admin/eventstore/event/", "/admin/auth/user/"):
        assert "<strong>production</strong>" in staff.get(address).content.decode(), address


def test_the_front_page_leads_to_the_overview_whoever_may_see_it(staff, client):
    assert OVERVIEW in staff.get("/admin/").content.decode()
    client.force_login(User.objects.create_user("ada", is_staff=True))
    assert OVERVIEW not in client.get("/admin/").content.decode()


def test_it_costs_as_many_queries_with_sixty_orders_as_with_one(staff, shop):
    with CaptureQueriesContext(connection) as few:
        staff.get(OVERVIEW)
    place_many(60)
    with CaptureQueriesContext(connection) as many:
        page = staff.get(OVERVIEW)
    assert len(many) == len(few) <= 10
    assert not INLINE.findall(page.content.decode())


def test_it_is_for_who_may_see_subscriptions(client, staff, shop):
    listed = staff.get("/admin/eventstore/subscription/").content.decode()
    for address in (OVERVIEW, DOCTOR):
        assert client.get(address).status_code == 302
        assert staff.post(address).status_code == 405
        assert address in listed


def _sample(subscription, at, position, events, seconds):
    slot = int(at.timestamp() // 30)
    Sample.objects.create(
        subscription=subscription,
        slot=slot,
        at=at,
        position=position,
        events=events,
        seconds=seconds,
    )
