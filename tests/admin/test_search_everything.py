"""One search over everything, and the links between the machinery and the orders."""

import html
import json
import re
from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from eventstore.console import finding
from eventstore.delivery import step
from eventstore.models import Event, Parked, SagaState
from eventstore.operations import doctor
from orders.models import OrderDetails, ReturnView

from .conftest import digest_of, place, say_yes

SEARCH = "/admin/eventstore/subscription/search/"


def hits(client, term):
    """Kind -> the addresses that the search shows."""
    page = client.get(SEARCH, {"q": term}, follow=True)
    if page.redirect_chain:
        return {"": [page.redirect_chain[0][0]]}
    return {each.kind: [row.address for row in each.rows] for each in page.context["hits"]}


def text(page):
    return html.unescape(page.content.decode())


def of_order(order_id):
    return f"/admin/orders/orderdetails/{order_id}/change/"


@pytest.fixture
def failing(shop):
    """An order whose payment has failed for two minutes."""
    order_id = place()
    for subscription in ("orders.details", "orders.fulfilment", "payments"):
        step.step(subscription)
    requested = Event.objects.get(type="payments.payment_requested")
    parked = Parked.objects.create(
        subscription="payments.gateway",
        position=requested.position,
        key=requested.stream,
        status="failed",
        attempts=7,
        due_at=timezone.now() + timedelta(seconds=50),
        error="TimeoutError: no answer",
        traceback="Traceback: no answer",
        parked_at=timezone.now() - timedelta(minutes=2),
    )
    return order_id, parked


@pytest.mark.usefixtures("books")
def test_everything_is_found_from_one_field(staff, order):
    OrderDetails.objects.filter(pk=order).update(reference="536365")
    event = Event.objects.get(stream=f"order-{order}", version=1)
    back = ReturnView.objects.get().pk
    for term in (order, order[-8:], f"…{order[-8:]}", "536365", "customer-1"):
        assert of_order(order) in sum(hits(staff, term).values(), []), term
    found = hits(staff, order[-8:])
    assert {"Order details", "Streams", "Saga states", "Payments", "Shipments"} <= set(found)
    assert f"/admin/orders/returnview/{back}/change/" in hits(staff, back[-8:])["Returns"]
    assert "/admin/inventory/stocklevel/CUP/change/" in hits(staff, "CUP")["Stock levels"]
    assert hits(staff, str(event.id)) == {"": [f"/admin/eventstore/event/{event.pk}/change/"]}
    assert hits(staff, str(event.correlation_id))["Events"]
    assert hits(staff, "payments.gateway") == {
        "": ["/admin/eventstore/subscription/payments.gateway/change/"]
    }
    for term in ("", "nothing at all", "\x00", order[-3:], "%", "x" * 500):
        assert hits(staff, term) == {}, term


def test_a_command_finds_the_same(staff, order, capsys):
    call_command("find", order[-8:], "--json")
    found = json.loads(capsys.readouterr().out)
    shown = [address for each in hits(staff, order[-8:]).values() for address in each]
    assert [each["address"] for each in found] == shown
    call_command("find", order[-8:])
    assert f"Order details: {order}: CONFIRMED {of_order(order)}" in capsys.readouterr().out
    with pytest.raises(CommandError, match="Nothing matches 'nothing'"):
        call_command("find", "nothing")


def test_orders_of_an_account_are_found_by_its_name(staff, order):
    from access import accounts

    user = User.objects.create_user("grace-hopper")
    OrderDetails.objects.filter(pk=order).update(customer_id=accounts.customer_id_of(user))
    assert of_order(order) in sum(hits(staff, "grace-hopper").values(), [])


def test_lists_are_searched_by_the_last_characters_too(staff, order):
    for model in ("sagastate", "stream"):
        page = staff.get(f"/admin/eventstore/{model}/", {"q": order[-8:]})
        assert page.context["cl"].result_list, model
    page = staff.get("/admin/orders/orderdetails/", {"q": order[-8:]})
    assert [each.pk for each in page.context["cl"].result_list] == [order]


def test_the_end_of_an_id_is_looked_for_in_an_index(order):
    with CaptureQueriesContext(connection) as queries:
        assert finding.identities(order[-8:]) == [order]
    (query,) = queries
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {query['sql']}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    assert "orders_by_end_of_id" in plan
    assert "returns_by_end_of_id" in plan
    assert "Index Cond" in plan
    assert "Seq Scan" not in plan


@pytest.mark.usefixtures("order")
def test_only_lists_that_the_user_may_see_are_searched():
    user = User.objects.create_user("ada", is_staff=True)
    client = Client()
    client.force_login(user)
    assert client.get(SEARCH, {"q": "CUP"}).status_code == 403
    user.user_permissions.add(Permission.objects.get(codename="view_subscription"))
    assert hits(client, "CUP") == {}
    user.user_permissions.add(Permission.objects.get(codename="view_stocklevel"))
    assert hits(client, "CUP") == {"": ["/admin/inventory/stocklevel/CUP/change/"]}


def test_machinery_leads_to_the_order_and_back(staff, failing):
    order_id, parked = failing
    saga = SagaState.objects.get(key=order_id)
    pages = {
        "parked": f"eventstore/parked/{parked.pk}",
        "saga": f"eventstore/sagastate/{saga.pk}",
        "stream": f"eventstore/stream/payment-{order_id}",
        "event": f"eventstore/event/{parked.position}",
        "message": f"eventstore/outboxmessage/{parked.position}",
    }
    order_page = text(staff.get(of_order(order_id)))
    for kind, page in pages.items():
        shown = text(staff.get(f"/admin/{page}/change/"))
        assert f'href="{of_order(order_id)}">order</a>' in shown, kind
    for kind in ("parked", "saga", "stream", "event"):
        assert f"/admin/{pages[kind]}/change/" in order_page, kind
    for model in ("parked", "sagastate"):
        assert f'href="{of_order(order_id)}"' in text(staff.get(f"/admin/eventstore/{model}/"))


def test_a_saga_shows_its_pending_call_its_attempts_and_the_next_one(staff, failing):
    order_id, parked = failing
    saga = SagaState.objects.get(key=order_id)
    page = text(staff.get(f"/admin/eventstore/sagastate/{saga.pk}/change/"))
    assert f"/admin/eventstore/parked/{parked.pk}/change/" in page
    assert "<strong>failed</strong> after 7 attempts" in page
    assert parked.due_at.isoformat() in page
    assert "TimeoutError: no answer" in page


@pytest.mark.usefixtures("failing")
def test_a_call_that_fails_is_seen_after_a_minute(staff):
    (found,) = [each for each in doctor.examine() if each.check == "failing"]
    assert re.match(r"1 messages or calls of payments.gateway have failed for 1\d\d s,", found.what)
    assert re.search(r"up to 7 times; the next attempt is in [1-5]?\d s", found.what)
    page = text(staff.get("/admin/eventstore/subscription/doctor/"))
    assert "/admin/eventstore/parked/?subscription=payments.gateway" in page
    assert "/admin/eventstore/subscription/payments.gateway/change/" in page
    overview = staff.get("/admin/eventstore/subscription/overview/").context["indicators"]
    assert [each.level for each in overview if each.name == "Failing"] == ["waiting"]
    Parked.objects.update(parked_at=timezone.now() - timedelta(seconds=30))
    assert not [each for each in doctor.examine() if each.check == "failing"]


def test_a_payment_that_the_provider_has_not_decided_is_no_failure(failing):
    Parked.objects.update(status="waiting", attempts=1, traceback="", error="a bank slip")
    assert not [each for each in doctor.examine() if each.check == "failing"]


def test_a_discard_names_the_order_and_the_key_and_says_what_to_do_next(staff, failing):
    order_id, parked = failing
    address = f"/admin/eventstore/parked/act/discard/?id={parked.pk}"
    page = text(staff.get(address))
    assert f"<code>payment-{order_id}</code>" in page
    assert "<code>payments.payment_requested</code>" in page
    assert f'href="{of_order(order_id)}"' in page
    assert "This cannot be undone." in page
    assert 'class="es-final"' in page
    after = say_yes(staff, address, "paid by hand")
    page = text(staff.get(after["Location"]))
    saga = SagaState.objects.get(key=order_id)
    assert "A saga that waits for the answer waits until its deadline." in page
    assert f"/admin/eventstore/sagastate/{saga.pk}/change/" in page


def test_selected_messages_are_acted_on_together(staff, failing):
    order_id, first = failing
    second, third = (
        Parked.objects.create(
            subscription="payments.gateway", position=at, key=f"payment-{at}", status="dead"
        )
        for at in (1, 2)
    )
    listed = staff.get("/admin/eventstore/parked/")
    (retry, _) = listed.context["bulk"]
    assert f'name="id" value="{first.pk}"' in listed.content.decode()
    address = f"{retry.address}id={first.pk}&id={third.pk}"
    assert staff.get(address).context["count"] == 2
    say_yes(staff, address, "it is up again")
    assert dict(Parked.objects.values_list("pk", "status")) == {
        first.pk: "failed",
        second.pk: "dead",
        third.pk: "failed",
    }
    assert staff.get(f"{retry.address}id=x").status_code == 404
    assert staff.get(f"{retry.address}{'&'.join(['id=1'] * 101)}").status_code == 404


def test_selected_sagas_are_told_together(staff, shop):
    for _ in range(3):
        place()
    while step.step("orders.fulfilment"):
        pass
    one, other, third = SagaState.objects.order_by("id")
    address = f"/admin/eventstore/sagastate/act/compensate/?id={one.pk}&id={other.pk}"
    page = staff.get(address)
    assert page.context["count"] == 2
    assert one.key in text(page)
    say_yes(staff, address, "bots")
    while step.step("orders.fulfilment"):
        pass
    assert SagaState.objects.get(pk=third.pk).status == third.status
    for each in (one, other):
        assert SagaState.objects.get(pk=each.pk).status != each.status


def test_an_old_form_is_asked_anew(staff, shop):
    address = "/admin/eventstore/subscription/act/pause/?name=payments.gateway"
    old = digest_of(staff.get(address))
    say_yes(staff, address, "the provider moves house")
    assert staff.get(address).context["count"] == 0, "it is paused already"
    say_yes(staff, address.replace("pause", "resume"), "it has moved")
    answer = staff.post(address, {"reason": "the provider moves house", "digest": old})
    assert answer.status_code == 409


@pytest.mark.parametrize("reason", ["\u200b", "\u2060 \ufeff", "\u3164", "\u2800", "x" * 2001])
def test_a_reason_that_nobody_can_read_is_none(staff, shop, reason):
    address = "/admin/eventstore/subscription/act/pause/?name=payments.gateway"
    answer = say_yes(staff, address, reason)
    assert answer.status_code == 409
    assert "reason" in text(answer).lower()


def test_no_address_sorts_a_list(staff, order):
    address = "/admin/orders/orderdetails/"
    for query in ("?o=2", "?o=-2.3", "?o=x"):
        with CaptureQueriesContext(connection) as queries:
            assert staff.get(f"{address}{query}").status_code in (200, 302)
        listed = [each["sql"] for each in queries if each["sql"] and "ORDER BY" in each["sql"]]
        assert not [each for each in listed if 'ORDER BY "orders_order_details"."status"' in each]


def test_orders_are_filtered_by_status_and_time_and_newest_first(staff, order):
    other = place()
    while step.step("orders.details"):
        pass
    OrderDetails.objects.filter(pk=other).update(
        status="CANCELLED", placed_at=timezone.now() - timedelta(days=3)
    )

    def listed(query=""):
        page = staff.get(f"/admin/orders/orderdetails/{query}")
        return [each.pk for each in page.context["cl"].result_list]

    assert listed() == [order, other], "by their own time, not by their ids"
    assert listed("?status=CANCELLED") == [other]
    since = f"{timezone.now() - timedelta(days=1):%Y-%m-%dT%H:%M:%S}"
    assert listed(f"?since={since}") == [order]
    assert listed(f"?until={since}") == [other]
    assert listed(f"?since={since}&status=CANCELLED") == []
