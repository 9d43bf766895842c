"""Which events are queued for which endpoint."""

import json

import pytest
from django.contrib.auth.models import Group, User

from access.authorization import OPERATIONS
from eventstore.commands import bus
from eventstore.messaging.event_bus import Envelope
from eventstore.models import Event, Subscription, WebhookDelivery, WebhookMessage
from eventstore.operations import control
from eventstore.operations.control import OperationRefused
from eventstore.outbox import cursors
from eventstore.postgres import execute
from eventstore.projections import rebuild
from eventstore.testing import drain
from eventstore.webhooks import endpoints, upkeep
from inventory.commands import ReceiveStock
from orders.webhook_owners import owners

from .deliveries import counted, fill, states

pytestmark = pytest.mark.usefixtures("shop", "idle")
URL = "http://127.0.0.1:9/"


def types_of(endpoint):
    return [type_ for type_, _ in states(endpoint)]


def subjects_of(endpoint):
    found = WebhookDelivery.objects.filter(endpoint=endpoint)
    return {each.key.partition("-")[2] for each in found}


def test_a_customer_gets_the_events_of_own_orders_and_of_no_other(ada, grace, endpoint, customer):
    hers, _ = endpoint(URL, customer("ada"))
    mine, others = ada.placed(), grace.placed()
    drain()
    assert subjects_of(hers) == {mine}
    assert others not in json.dumps(list(WebhookMessage.objects.values_list("body", flat=True)))
    assert set(types_of(hers)) == {
        "orders.order_status_changed",
        "orders.order_details",
        "orders.order_confirmed_integration",
        "payments.payment_completed_integration",
        "shipping.shipment_created_integration",
    }


def test_staff_with_the_right_gets_everything(ada, grace, operator, endpoint, customer):
    all_, _ = endpoint(URL, customer("operator"), is_for_all=True)
    orders = {ada.placed(), grace.placed()}
    drain()
    assert subjects_of(all_) == orders | {"CUP"}
    assert "inventory.stock_level_changed" in types_of(all_)


def test_one_message_serves_all_endpoints(ada, operator, endpoint, customer):
    endpoint(URL, customer("ada"))
    endpoint(URL, customer("operator"), "orders.order_details", is_for_all=True)
    ada.placed()
    drain()
    details = WebhookMessage.objects.filter(type="orders.order_details")
    assert details.count() == 2  # placed, confirmed
    assert WebhookDelivery.objects.filter(message__in=details).count() == 4


def test_an_endpoint_gets_the_types_that_it_names(ada, endpoint, customer):
    some, _ = endpoint(URL, customer("ada"), "orders.order_confirmed_integration")
    ada.placed()
    drain()
    assert types_of(some) == ["orders.order_confirmed_integration"]


def test_the_body_is_the_event_with_its_type_time_and_place(ada, endpoint, customer):
    endpoint(URL, customer("ada"), "orders.order_confirmed_integration")
    order_id = ada.placed()
    drain()
    message = WebhookMessage.objects.get()
    body = json.loads(message.body)
    assert body["id"] == str(message.pk)
    assert (body["type"], body["subject"]) == ("orders.order_confirmed_integration", order_id)
    assert body["data"]["customer_id"] == customer("ada")
    assert body["timestamp"].endswith("Z")
    assert body["sequence"] > 0


def test_events_before_the_registration_are_not_queued_even_if_they_are_read_later(
    ada, endpoint, customer
):
    early, _ = endpoint(URL, customer("ada"))
    before = ada.placed()
    late, _ = endpoint(URL, customer("ada"))
    after = ada.placed()
    fill()
    assert subjects_of(early) == {before, after}
    assert subjects_of(late) == {after}


def test_without_endpoints_the_cursor_moves_and_nothing_is_read(ada, monkeypatch):
    ada.placed()
    monkeypatch.setattr(cursors, "read", lambda *_: pytest.fail("it was read"))
    fill()
    found = Subscription.objects.get(name="webhooks")
    assert found.position == Event.objects.latest("position").position


def test_a_repeat_of_the_subscription_queues_nothing_a_second_time(ada, endpoint, customer):
    hers, _ = endpoint(URL, customer("ada"))
    ada.placed()
    drain()
    before = list(WebhookDelivery.objects.order_by("id").values())
    execute("UPDATE eventstore_subscription SET position = 0 WHERE name = 'webhooks'").close()
    drain()
    assert list(WebhookDelivery.objects.order_by("id").values()) == before
    counted(hers)


def test_a_rebuild_and_a_reset_of_a_projection_queue_nothing(
    ada, endpoint, customer, no_tables_left
):
    endpoint(URL, customer("ada"))
    ada.placed()
    drain()
    before = WebhookDelivery.objects.count()
    rebuild.rebuild("orders.details", who="grace")
    control.reset("orders.details", who="grace", reason="-")
    control.reset("orders.published", who="grace", reason="-")
    drain()
    assert WebhookDelivery.objects.count() == before


def test_the_subscription_cannot_be_reset():
    with pytest.raises(OperationRefused, match="webhooks cannot be reset"):
        control.reset("webhooks", who="grace", reason="-")


@pytest.mark.parametrize("how", ["inactive", "deleted"])
def test_an_account_that_is_lost_gets_nothing_more(how, ada, endpoint, customer):
    hers, _ = endpoint(URL, customer("ada"))
    ada.placed()
    drain()
    before = len(states(hers))
    account = User.objects.filter(username="ada")
    ada.placed()
    account.update(is_active=False) if how == "inactive" else account.delete()
    drain()
    assert len(states(hers)) == before
    upkeep.tend()
    assert endpoints.find(hers).disabled_reason == "account"


def test_staff_that_loses_the_right_loses_the_events_of_others(ada, operator, endpoint, customer):
    all_, _ = endpoint(URL, customer("operator"), is_for_all=True)
    User.objects.get(username="operator").groups.clear()
    ada.placed()
    drain()
    assert states(all_) == []
    upkeep.tend()
    assert endpoints.find(all_).status == "disabled"


def test_control_with_the_right_it_stays_enabled(operator, endpoint, customer):
    assert Group.objects.get(name=OPERATIONS)
    all_, _ = endpoint(URL, customer("operator"), is_for_all=True)
    upkeep.tend()
    assert endpoints.find(all_).status == "enabled"


def test_events_of_a_guest_and_of_no_order_have_no_owner():
    class OfGuest:
        order_id, customer_id = "1", ""

    class OfStock:
        sku = "CUP"

    envelopes = [
        Envelope(key, "t", "s", 1, None, None, None, event)
        for key, event in (("guest", OfGuest()), ("stock", OfStock()))
    ]
    assert owners(envelopes) == {"guest": ""}


def test_what_is_too_large_is_recorded_and_not_sent(ada, endpoint, customer, settings):
    settings.EVENTSTORE_WEBHOOK_BODY_BYTES = 300
    hers, _ = endpoint(URL, customer("ada"))
    ada.placed()
    drain()
    by_type = dict(states(hers))
    assert by_type["orders.order_details"] == "failed"
    assert by_type["orders.order_status_changed"] == "waiting"
    failed = WebhookDelivery.objects.filter(status="failed").first()
    assert "Maximum: 300" in failed.error
    assert failed.attempts == 0
    counted(hers)


def test_the_queue_of_an_endpoint_is_bounded_in_bytes(ada, endpoint, customer, settings):
    settings.EVENTSTORE_WEBHOOK_QUEUE_BYTES = 2000
    hers, _ = endpoint(URL, customer("ada"), "orders.order_details")
    for _ in range(5):
        ada.placed()
        drain()
    found = counted(hers)
    assert 0 < found.queued_bytes <= 2000
    refused = WebhookDelivery.objects.filter(status="failed")
    assert refused.count() == 10 - found.queued
    assert "wait for this endpoint already" in refused.first().error


def test_a_full_queue_of_one_endpoint_is_not_felt_by_another(ada, endpoint, customer, settings):
    settings.EVENTSTORE_WEBHOOK_QUEUE_BYTES = 2000
    full, _ = endpoint(URL, customer("ada"), "orders.order_details")
    other, _ = endpoint(URL, customer("ada"), "orders.order_confirmed_integration")
    for _ in range(5):
        ada.placed()
        drain()
    assert counted(full).queued < 10
    assert counted(other).queued == 5


def test_stock_alone_reaches_no_customer(endpoint, customer, ada):
    hers, _ = endpoint(URL, customer("ada"))
    bus.dispatch(ReceiveStock("CUP", 5))
    drain()
    assert states(hers) == []
