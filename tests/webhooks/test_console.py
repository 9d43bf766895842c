"""Webhooks in the console and in the doctor."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from eventstore.models import OperatorAction, WebhookDelivery, WebhookEndpoint
from eventstore.operations import doctor
from eventstore.operations.doctor import webhooks as checks
from eventstore.testing import drain
from eventstore.webhooks import endpoints
from tests.admin.conftest import digest_of, say_yes

from .deliveries import age, statuses

pytestmark = pytest.mark.usefixtures("shop", "idle")
LIST = "/admin/eventstore/webhookendpoint/"
CONFIRMED = "orders.order_confirmed_integration"
FORM = {"account": "ada", "url": "http://127.0.0.1:9/hook", "types": [CONFIRMED], "orders": "own"}


@pytest.fixture
def staff(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "root"))
    return client


def test_an_operator_registers_an_endpoint_and_sees_the_secret_once(staff, ada, customer):
    done = say_yes(staff, f"{LIST}act/register/", "a partner", **FORM)
    assert done.status_code == 200
    assert "no-store" in done["Cache-Control"]
    found = WebhookEndpoint.objects.get()
    secret = endpoints.secret_of(found)
    assert secret.encode() in done.content.replace(b"&#x2B;", b"+").replace(b"&#x3D;", b"=")
    assert found.owner == customer("ada")
    for address in (LIST, f"{LIST}{found.pk}/change/", f"{LIST}act/disable/?id={found.pk}"):
        page = staff.get(address)
        assert page.status_code == 200
        assert secret.encode() not in page.content
    action = OperatorAction.objects.get()
    assert (action.action, action.subject) == ("register", f"webhook endpoint {found.pk}")
    assert secret not in str(action.details)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"account": "no one"}, "No active account has the name"),
        ({"url": "https://10.0.0.1/"}, "not public"),
        ({"url": "ftp://hook.example/"}, "Only https"),
        ({"types": ["orders.order_placed"]}, "Invalid input"),
    ],
)
def test_what_is_wrong_is_said(staff, ada, change, said):
    done = say_yes(staff, f"{LIST}act/register/", "a partner", **FORM | change)
    assert done.status_code == 409
    assert said in done.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_an_operator_disables_enables_rotates_and_deletes(staff, ada, endpoint, customer):
    id_, old = endpoint("http://127.0.0.1:9/hook", customer("ada"))
    for act, status in (("disable", "disabled"), ("enable", "enabled")):
        say_yes(staff, f"{LIST}act/{act}/?id={id_}", "they asked")
        assert endpoints.find(id_).status == status
    done = say_yes(staff, f"{LIST}act/rotate/?id={id_}", "it leaked")
    assert b"whsec_" in done.content
    assert endpoints.secret_of(endpoints.find(id_)) != old
    say_yes(staff, f"{LIST}act/delete/?id={id_}", "they left")
    assert endpoints.find(id_) is None
    assert staff.get(f"{LIST}{id_}/change/").status_code == 302
    actions = OperatorAction.objects.filter(subject=f"webhook endpoint {id_}").order_by("id")
    assert [each.action for each in actions] == ["disable", "enable", "rotate", "delete"]


def test_a_delivery_is_shown_with_its_attempts_and_sent_again(
    staff, ada, endpoint, customer, receiver, sender
):
    there = receiver(lambda *_: (500, {}, b"<script>alert(1)</script> Ada's address"))
    id_, _ = endpoint(there.url, customer("ada"), CONFIRMED)
    ada.placed()
    drain()
    sender.send_due()
    delivery = WebhookDelivery.objects.get()
    address = f"/admin/eventstore/webhookdelivery/{delivery.pk}/"
    page = staff.get(f"{address}change/").content.decode()
    assert "HTTP 500." in page
    assert str(delivery.message_id) in page
    assert "Ada&#x27;s address" not in page, "what a receiver answers may be personal"
    revealed = staff.post(f"{address}reveal/", {"reason": "looking into it"}).content.decode()
    assert "Ada&#x27;s address" in revealed
    assert "<script>alert" not in revealed
    there.answer = lambda *_: (200, {}, b"")
    say_yes(
        staff, f"/admin/eventstore/webhookdelivery/act/again/?id={delivery.pk}", "it is repaired"
    )
    sender.send_due()
    assert statuses(id_) == ["delivered"]
    assert len({each.id for each in there.requests}) == 1


def test_a_confirmation_without_a_reason_does_nothing(staff, ada, endpoint, customer):
    id_, _ = endpoint("http://127.0.0.1:9/hook", customer("ada"))
    address = f"{LIST}act/disable/?id={id_}"
    digest = digest_of(staff.get(address))
    assert staff.post(address, {"reason": " ", "digest": digest}).status_code == 409
    assert endpoints.find(id_).status == "enabled"


def test_the_overview_counts_them(staff, ada, endpoint, customer):
    endpoint("http://127.0.0.1:9/hook", customer("ada"), CONFIRMED)
    ada.placed()
    drain()
    page = staff.get("/admin/eventstore/subscription/overview/").content.decode()
    assert re.search(r"1 deliveries wait, 0 of 1 endpoints fail", page)


# --- The doctor


def found(check):
    return [(each.check, each.severity) for each in check(doctor.DEFAULT)]


def test_a_healthy_shop_has_no_finding(ada, endpoint, customer):
    endpoint("http://127.0.0.1:9/hook", customer("ada"), CONFIRMED)
    ada.placed()
    drain()
    assert [found(check) for check in checks.CHECKS] == [[], [], []]


def test_deliveries_that_no_worker_sends_are_found(ada, endpoint, customer):
    id_, _ = endpoint("http://127.0.0.1:9/hook", customer("ada"), CONFIRMED)
    ada.placed()
    drain()
    age("delivery", "due_at", 1)
    age("endpoint", "rest_until", 1)
    assert found(checks.late) == [("webhooks-late", "warning")]
    endpoints.disable(id_, endpoints.BY_OWNER)
    assert found(checks.late) == []


def test_endpoints_that_were_disabled_for_failures_are_found(
    ada, endpoint, customer, receiver, sender
):
    there = receiver(lambda *_: (410, {}, b""))
    id_, _ = endpoint(there.url, customer("ada"), CONFIRMED)
    ada.placed()
    drain()
    sender.send_due()
    assert found(checks.disabled) == [("webhook-disabled", "warning")]
    age("endpoint", "disabled_at", 8)
    assert found(checks.disabled) == []
    endpoints.enable(id_)
    endpoints.disable(id_, endpoints.BY_OWNER)
    assert found(checks.disabled) == [], "not one that its owner disabled"


def test_a_key_that_is_missing_is_found(ada, endpoint, customer, settings):
    endpoint("http://127.0.0.1:9/hook", customer("ada"))
    settings.EVENTSTORE_WEBHOOK_KEYS = ["another"]
    assert found(checks.unsignable) == [("webhook-key", "critical")]
