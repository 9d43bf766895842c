"""Operator actions: confirmed, with a reason, recorded, and only with permission."""

from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client

from eventstore.delivery import step
from eventstore.log import audit
from eventstore.models import Event, OperatorAction, OutboxMessage, Parked, SagaState, Subscription
from eventstore.testing import drain
from orders.models import OrderDetails

from .conftest import digest_of, member, place, say_yes

PARKED = "/admin/eventstore/parked/act/"
SUBSCRIPTION = "/admin/eventstore/subscription/act/"
SAGA = "/admin/eventstore/sagastate/act/"


@pytest.fixture
def letters(order):
    """Two dead letters of one gateway, a failed one of another subscription, and one that waits
    behind the first."""
    at = list(Event.objects.order_by("position").values_list("position", flat=True))
    return [
        _parked("payments.gateway", at[0], "payment-1", "dead"),
        _parked("payments.gateway", at[1], "payment-1", "waiting"),
        _parked("payments.gateway", at[2], "payment-2", "dead"),
        _parked("shipping.carrier", at[3], "shipment-1", "failed"),
    ]


@pytest.fixture
def operator(db):
    call_command("console_roles", "--view", "support", "--operate", "operations")
    return member("grace", "operations")


def test_a_dead_letter_is_tried_again_once_somebody_has_said_why(operator, letters):
    address = f"{PARKED}retry/?id={letters[0].pk}"
    page = operator.get(
        operator.get(f"/admin/eventstore/parked/{letters[0].pk}/change/")
        .context["buttons"][0]
        .address
    )
    assert page.context["count"] == 1
    assert say_yes(operator, address, "the gateway is up again").status_code == 302
    letters[0].refresh_from_db()
    assert (letters[0].status, letters[0].due_at is not None) == ("failed", True)
    (done,) = OperatorAction.objects.all()
    assert (done.who, done.action, done.subject) == ("grace", "retry", "payments.gateway")
    assert (done.reason, done.details) == (
        "the gateway is up again",
        {"positions": [letters[0].position]},
    )


def test_a_whole_sequence_is_discarded(operator, letters):
    address = (
        f"{PARKED}discard/?{urlencode({'subscription': 'payments.gateway', 'key': 'payment-1'})}"
    )
    assert operator.get(address).context["count"] == 2
    say_yes(operator, address, "paid by hand")
    assert [each.key for each in Parked.objects.order_by("id")] == ["payment-2", "shipment-1"]


def test_all_that_match_the_present_filter_are_tried_again(operator, letters):
    listed = operator.get("/admin/eventstore/parked/?status=dead&subscription=payments.gateway")
    address = listed.context["buttons"][0].address
    page = operator.get(address)
    assert page.context["count"] == 2
    assert "Retry now: 2" in page.content.decode()
    say_yes(operator, address, "the gateway is up again")
    assert dict(Parked.objects.values_list("position", "status")) == {
        letters[0].position: "failed",
        letters[1].position: "waiting",
        letters[2].position: "failed",
        letters[3].position: "failed",
    }


def test_all_of_several_subscriptions_are_done_together_and_written_down_for_each(
    operator, letters
):
    say_yes(operator, f"{PARKED}discard/", "a day to forget")
    assert not Parked.objects.exists()
    assert set(OperatorAction.objects.values_list("subject", flat=True)) == {
        "payments.gateway",
        "shipping.carrier",
    }


def test_a_call_under_way_is_not_discarded(operator, letters):
    Parked.objects.filter(pk=letters[3].pk).update(status="leased")
    page = operator.get(f"{PARKED}discard/?subscription=shipping.carrier")
    assert page.context["count"] == 0
    assert "<textarea" not in page.content.decode()
    assert _post_anyway(operator, page).status_code == 409
    assert not OperatorAction.objects.exists()


@pytest.mark.usefixtures("letters")
def test_nothing_is_done_without_a_reason(operator):
    before = _parked_now()
    answer = say_yes(operator, f"{PARKED}discard/", "   ")
    assert answer.status_code == 409
    assert "A reason is required" in answer.content.decode()
    assert _parked_now() == before
    assert not OperatorAction.objects.exists()


def test_who_was_shown_another_number_is_asked_again(operator, letters):
    address = f"{PARKED}discard/?subscription=payments.gateway"
    digest = digest_of(operator.get(address))
    _parked("payments.gateway", letters[3].position, "payment-3", "dead")
    answer = operator.post(address, {"reason": "they are old", "digest": digest})
    assert answer.status_code == 409
    assert "has changed since you opened this page" in answer.content.decode()
    assert "Discard: 4" in answer.content.decode()
    assert Parked.objects.count() == 5


def test_a_saga_is_told_to_turn_back(operator, shop):
    order_id = place()
    step.step("orders.fulfilment")
    saga = SagaState.objects.get(key=order_id)
    buttons = operator.get(f"/admin/eventstore/sagastate/{saga.pk}/change/").context["buttons"]
    assert [each.label for each in buttons] == ["Retry the step", "Compensate"], (
        "what its step allows"
    )
    assert (
        say_yes(operator, f"{SAGA}compensate/?id={saga.pk}", "the customer is a bot").status_code
        == 302
    )
    drain()
    saga.refresh_from_db()
    assert saga.status == "COMPENSATED"
    assert saga.state["reason"] == "by grace: the customer is a bot"
    assert Event.objects.filter(stream=f"order-{order_id}", type="orders.order_cancelled").exists()
    assert OperatorAction.objects.get().subject == f"orders.fulfilment {order_id}"


def test_a_saga_that_has_moved_on_is_looked_at_again_first(operator, shop):
    order_id = place()
    step.step("orders.fulfilment")
    saga = SagaState.objects.get(key=order_id)
    address = f"{SAGA}compensate/?id={saga.pk}"
    digest = digest_of(operator.get(address))
    drain()
    assert operator.post(address, {"reason": "too late", "digest": digest}).status_code == 409
    assert not OutboxMessage.objects.filter(type="eventstore.intervened").exists()


def test_a_subscription_is_paused_and_goes_on_later(operator, shop):
    page = "/admin/eventstore/subscription/payments.gateway/change/"
    for word, paused in (("pause", True), ("resume", False)):
        address = operator.get(page).context["buttons"][0].address
        assert f"/act/{word}/" in address
        assert say_yes(operator, address, "the provider moves house").status_code == 302
        assert Subscription.objects.get(name="payments.gateway").paused is paused
    assert list(OperatorAction.objects.order_by("id").values_list("action", "who")) == [
        ("pause", "grace"),
        ("resume", "grace"),
    ]


def test_the_next_message_of_a_subscription_is_left_out(operator, shop):
    Subscription.objects.filter(name="orders.fulfilment").update(paused=True)
    order_id = place()
    address = "/admin/eventstore/subscription/act/skip/?name=orders.fulfilment"
    assert f"orders.order_placed of order-{order_id}" in operator.get(address).content.decode()
    assert say_yes(operator, address, "it came twice").status_code == 302
    Subscription.objects.filter(name="orders.fulfilment").update(paused=False)
    drain()
    assert not SagaState.objects.exists()


def test_a_read_model_is_emptied_and_fills_anew(operator, order):
    OrderDetails.objects.update(status="SPOILT")
    stands = Subscription.objects.get(name="orders.details").position
    page = operator.get("/admin/eventstore/subscription/orders.details/change/")
    (address,) = [each.address for each in page.context["buttons"] if each.label == "Reset"]
    shown = operator.get(address).context["choice"].shown
    assert shown == [f"orders.details goes back from position {stands} to 0; rows to delete: 1"]
    assert say_yes(operator, address, "wrong by hand").status_code == 302
    assert not OrderDetails.objects.exists()
    drain()
    assert OrderDetails.objects.get().status == "CONFIRMED"
    done = OperatorAction.objects.get()
    assert (done.who, done.action, done.subject, done.reason) == (
        "grace",
        "reset",
        "orders.details",
        "wrong by hand",
    )
    assert done.details == {"from": stands, "to": 0, "rows": 1}


@pytest.mark.usefixtures("order")
def test_a_publication_is_put_back_to_any_position_that_it_has_passed(operator):
    page = operator.get("/admin/eventstore/subscription/orders.published/change/")
    stands = page.context["lag"].position
    address = page.context["reset_address"] + urlencode(
        {"name": "orders.published", "position": stands - 1}
    )
    assert say_yes(operator, address, "they lost it").status_code == 302
    assert Subscription.objects.get(name="orders.published").position == stands - 1
    ahead = address.replace(f"position={stands - 1}", f"position={stands}")
    refused = say_yes(operator, ahead, "they lost it")
    assert refused.status_code == 409
    assert f"is at position {stands - 1}" in refused.content.decode()


@pytest.mark.usefixtures("order")
def test_a_subscription_that_acts_on_the_world_offers_no_way_back(operator):
    for name in ("orders.fulfilment", "payments.gateway", "orders"):
        page = operator.get(f"/admin/eventstore/subscription/{name}/change/")
        assert "/act/reset/" not in page.content.decode()
        assert operator.get(f"{SUBSCRIPTION}reset/?name={name}").status_code == 404


def test_support_sees_and_does_not_act(operator, letters):
    support = member("ada", "support")
    for address in (
        "/admin/eventstore/parked/",
        f"/admin/eventstore/parked/{letters[0].pk}/change/",
    ):
        page = support.get(address)
        assert page.status_code == 200
        assert b"/act/" not in page.content
    for address in (f"{PARKED}discard/", f"{SAGA}skip/?id={SagaState.objects.get().pk}"):
        assert support.get(address).status_code == 403
        assert support.post(address, {"reason": "x"}).status_code == 403
    assert len(_parked_now()) == 4


@pytest.mark.usefixtures("letters")
def test_no_other_site_can_make_an_operator_act(operator):
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="grace"))
    digest = digest_of(client.get(f"{PARKED}discard/"))
    assert client.post(f"{PARKED}discard/", {"reason": "x", "digest": digest}).status_code == 403
    assert len(_parked_now()) == 4


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    "address",
    [
        f"{PARKED}explode/",
        f"{PARKED}retry/?id=x",
        f"{PARKED}retry/?key=%00",
        f"{SAGA}retry/",
        f"{SAGA}x/?id=1",
        f"{SUBSCRIPTION}skip/?name=nobody",
        f"{SUBSCRIPTION}reset/?name=orders.published&position=-1",
        f"{SUBSCRIPTION}reset/?name=orders.published&position={10**19}",
    ],
)
def test_what_is_no_choice_is_not_found(operator, address):
    assert operator.get(address).status_code == 404


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("word", ["pause", "resume", "skip", "reset"])
def test_a_subscription_that_has_no_cursor_yet_is_not_found(operator, word):
    """It came with new code, and no worker has created its cursor."""
    Subscription.objects.filter(name="orders.published").delete()
    assert operator.get(f"{SUBSCRIPTION}{word}/?name=orders.published").status_code == 404


def test_what_was_done_is_listed_and_found_by_what_it_was_done_to(staff):
    audit.record(
        "grace", "discard", "payments.gateway", reason="paid by hand", details={"positions": [7]}
    )
    audit.record("ada", "retry", "shipping.carrier")
    found = (
        staff.get("/admin/eventstore/operatoraction/?q=payments.gateway").context["cl"].result_list
    )
    assert [each.who for each in found] == ["grace"]
    page = staff.get(f"/admin/eventstore/operatoraction/{found[0].pk}/change/").content.decode()
    assert "paid by hand" in page


def _parked(subscription, position, key, status):
    return Parked.objects.create(
        subscription=subscription,
        position=position,
        key=key,
        status=status,
        attempts=3,
        due_at=None,
        error="TimeoutError",
    )


def _parked_now():
    return list(Parked.objects.order_by("id").values_list("id", "status"))


def _post_anyway(client, page):
    return client.post(
        f"{PARKED}discard/?subscription=shipping.carrier",
        {"reason": "all the same", "digest": page.context["choice"].digest},
    )
