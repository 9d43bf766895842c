"""How it goes, at a glance: good, worth a look or wrong, each with a word."""

import html
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from eventstore import heartbeats
from eventstore.models import Event, OutboxMessage, Parked, Subscription

from .conftest import place, place_many
from .test_every_page import INLINE

OVERVIEW = "/admin/eventstore/subscription/overview/"
DOCTOR = "/admin/eventstore/subscription/doctor/"


def signs(client):
    return {each.name: (each.word, each.mood) for each in client.get(OVERVIEW).context["signs"]}


def test_all_is_well_when_all_is_delivered_and_a_worker_is_heard(staff, order):
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    told = signs(staff)
    assert told["Lanes"] == ("up to date", "good")
    assert told["Dead letters"] == ("none", "good")
    assert told["Paused"] == ("none", "good")
    assert told["Workers"] == ("at work", "good")


@pytest.mark.usefixtures("shop")
def test_what_is_wrong_is_said(staff):
    place()
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    OutboxMessage.objects.update(created_at=long_ago)
    Parked.objects.create(subscription="payments.gateway", position=1, key="payment-1", status="dead")
    Subscription.objects.filter(name="shipping.carrier").update(paused=True)
    told = signs(staff)
    assert told["Lanes"] == ("far behind", "bad")
    assert told["Dead letters"] == ("some", "bad")
    assert told["Paused"] == ("some", "waiting")
    assert told["Workers"] == ("none", "bad")
    page = staff.get(DOCTOR)
    assert page.context["findings"]
    assert all(each.mend in html.unescape(page.content.decode()) for each in page.context["findings"])


def test_every_message_of_the_last_hour_is_in_a_bar(staff, order):
    minutes, hours = staff.get(OVERVIEW).context["charts"]
    last = Event.objects.order_by("-position").first().position
    assert (minutes.total, hours.total) == (last, last)
    assert (len(minutes.bars), len(hours.bars)) == (60, 24)
    assert sum(bar.messages for bar in minutes.bars[-3:]) == last
    assert max(bar.height for bar in minutes.bars) == 80


def test_it_costs_as_many_queries_with_sixty_orders_as_with_one(staff, shop):
    with CaptureQueriesContext(connection) as few:
        staff.get(OVERVIEW)
    place_many(60)
    with CaptureQueriesContext(connection) as many:
        page = staff.get(OVERVIEW)
    assert len(many) == len(few) <= 9
    assert not INLINE.findall(page.content.decode())


def test_it_is_for_who_may_see_subscriptions(client, staff, shop):
    listed = staff.get("/admin/eventstore/subscription/").content.decode()
    for address in (OVERVIEW, DOCTOR):
        assert client.get(address).status_code == 302
        assert staff.post(address).status_code == 405
        assert address in listed
