"""Every address of the console for every kind of user: what each may see, do and reveal."""

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from eventstore.console import permissions
from eventstore.delivery import step
from eventstore.models import Event, Parked, SagaState, WebhookDelivery, WebhookEndpoint
from orders.models import ReturnView

from .conftest import hook, place
from .everything import models, routes

# The users, in the order of the columns. A customer is logged in, but no staff; a clerk is staff
# without permissions here.
PEOPLE = ("nobody", "customer", "clerk", "viewer", "operator", "revealer", "support", "admin")

# The statuses: redirect to the login, forbidden, or allowed.
LOOK = (302, 302, 403, 200, 200, 200, 200, 200)
NOT_EVEN_ADMIN = (302, 302, 403, 403, 403, 403, 403, 403)
OPERATE = (302, 302, 403, 403, 200, 403, 403, 200)
REVEAL = (302, 302, 403, 403, 403, 200, 403, 200)
HELP = (302, 302, 403, 403, 403, 403, 200, 200)
# For the role operations, as in the API; no user here has it, see test_returns.py.
RECEIVE = (302, 302, 403, 403, 403, 403, 403, 200)
PAST = (302, 302, 403, 302, 302, 302, 302, 302)
ELSEWHERE = (302, 302, 302, 302, 302, 302, 302, 302)

MAY_GET = {
    "APP/MODEL/": LOOK,
    "APP/MODEL/add/": NOT_EVEN_ADMIN,
    "APP/MODEL/KEY/": ELSEWHERE,
    "APP/MODEL/KEY/change/": LOOK,
    "APP/MODEL/KEY/delete/": NOT_EVEN_ADMIN,
    "APP/MODEL/KEY/history/": PAST,
    "APP/MODEL/KEY/reveal/": REVEAL,
    "eventstore/event/correlation/KEY/": LOOK,
    "eventstore/event/export/": LOOK,
    "eventstore/event/export/events.ndjson": LOOK,
    "eventstore/parked/act/discard/": OPERATE,
    "eventstore/parked/act/retry/": OPERATE,
    "eventstore/projectionsubscription/act/cancel/": OPERATE,
    "eventstore/projectionsubscription/act/compare/": OPERATE,
    "eventstore/projectionsubscription/act/fold/": OPERATE,
    "eventstore/projectionsubscription/act/forget/": OPERATE,
    "eventstore/projectionsubscription/act/rebuild/": OPERATE,
    "eventstore/projectionsubscription/act/rollback/": OPERATE,
    "eventstore/projectionsubscription/act/swap/": OPERATE,
    "eventstore/sagastate/act/compensate/": OPERATE,
    "eventstore/sagastate/act/retry/": OPERATE,
    "eventstore/sagastate/act/skip/": OPERATE,
    "eventstore/stream/KEY/fixture/": LOOK,
    "eventstore/stream/KEY/fixture/given.py": LOOK,
    "eventstore/subscription/act/pause/": OPERATE,
    "eventstore/subscription/act/reset/": OPERATE,
    "eventstore/subscription/act/resume/": OPERATE,
    "eventstore/subscription/act/skip/": OPERATE,
    "eventstore/subscription/doctor/": LOOK,
    "eventstore/subscription/overview/": LOOK,
    "eventstore/subscription/search/": LOOK,
    "eventstore/webhookdelivery/act/again/": OPERATE,
    "eventstore/webhookendpoint/act/delete/": OPERATE,
    "eventstore/webhookendpoint/act/disable/": OPERATE,
    "eventstore/webhookendpoint/act/enable/": OPERATE,
    "eventstore/webhookendpoint/act/register/": OPERATE,
    "eventstore/webhookendpoint/act/rotate/": OPERATE,
    "orders/orderdetails/act/cancel/": HELP,
    "orders/orderdetails/act/return/": HELP,
    "orders/returnview/act/close/": RECEIVE,
    "orders/returnview/act/receive/": RECEIVE,
}

# What accepts a POST. An action needs the digest of the targets that were shown; without it the
# status is 409.
MAY_POST = {
    "APP/MODEL/KEY/reveal/": REVEAL,
    "eventstore/event/export/events.ndjson": REVEAL,
    "eventstore/stream/KEY/fixture/given.py": REVEAL,
} | {
    route: tuple(409 if answer == 200 else answer for answer in answers)
    for route, answers in MAY_GET.items()
    if "/act/" in route
}


@pytest.fixture
def people(shop):
    call_command(
        "console_roles",
        "--view",
        "viewers",
        "support",
        "--operate",
        "operators",
        "--reveal",
        "revealers",
    )
    groups = {
        "viewer": "viewers",
        "operator": "operators",
        "revealer": "revealers",
        "support": "support",
    }
    clients = {"nobody": Client()}
    for who in PEOPLE[1:]:
        user = User.objects.create_user(
            who, is_staff=who != "customer", is_superuser=who == "admin"
        )
        user.groups.add(*Group.objects.filter(name=groups.get(who, "")))
        clients[who] = Client()
        clients[who].force_login(user)
    return clients


@pytest.fixture
def order_id(people):
    """An order in progress, one dead message of it, and a return."""
    order_id = place()
    for subscription in ("orders.fulfilment", "orders.details", "payments"):
        step.step(subscription)
    Parked.objects.create(
        subscription="orders.catalogue",
        position=Event.objects.order_by("position")[0].position,
        key="x",
        status="dead",
    )
    ReturnView.objects.create(return_id="r1", order_id=order_id, version=1, position=1)
    hook()
    return order_id


def test_no_address_of_the_console_is_missing_here():
    missing = routes() - set(MAY_GET)
    assert not missing, f"Say in MAY_GET who may ask for {sorted(missing)}."
    gone = set(MAY_GET) - routes()
    assert not gone, f"The console has no {sorted(gone)}; take it out of MAY_GET."


def test_each_may_ask_for_what_is_theirs(people, order_id):
    assert _wrong(people, order_id, "get", MAY_GET) == {}


def test_each_may_post_to_what_is_theirs(people, order_id):
    assert _wrong(people, order_id, "post", MAY_POST) == {}


def test_nothing_else_takes_a_post(people, order_id):
    for route in set(MAY_GET) - set(MAY_POST):
        for address in _addresses(route, order_id):
            for who, client in people.items():
                assert client.post(address, {"reason": "x"}).status_code in (302, 403, 405), (
                    who,
                    address,
                )


def test_the_three_rights_are_apart(people):
    known = {
        who: {
            each
            for each in ("operate", "reveal")
            if User.objects.get(username=who).has_perm(f"eventstore.{each}")
        }
        for who in PEOPLE[1:]
    }
    assert known == {
        "customer": set(),
        "clerk": set(),
        "viewer": set(),
        "operator": {permissions.OPERATE},
        "revealer": {permissions.REVEAL},
        "support": set(),
        "admin": {permissions.OPERATE, permissions.REVEAL},
    }


def _wrong(people, order_id, method, expected):
    """Address -> actual and expected statuses, where they differ."""
    wrong = {}
    for route, statuses in expected.items():
        for address in _addresses(route, order_id):
            answers = tuple(
                getattr(people[who], method)(address, _form(method)).status_code for who in PEOPLE
            )
            if answers != statuses:
                wrong[address] = (answers, statuses)
    return wrong


def _form(method):
    return {"reason": "to see who may"} if method == "post" else None


def _addresses(route, order_id):
    """The addresses of a route: for each model that has it, or with the targets of an action."""
    if not route.startswith("APP/MODEL/"):
        key = {"correlation": Event.objects.get(stream=f"order-{order_id}").correlation_id}
        found = f"/admin/{route}".replace(
            "KEY", str(key.get(route.split("/")[2], f"order-{order_id}"))
        )
        return [f"{found}{_about(route, order_id)}"]
    return [
        f"/admin/{route}".replace(
            "APP/MODEL", f"{model._meta.app_label}/{model._meta.model_name}"
        ).replace("KEY", key)
        for model, key in _rows(order_id)
    ]


def _about(route, order_id):
    match route.split("/"):
        case [_, "parked", "act", *_]:
            return f"?id={Parked.objects.get().pk}"
        case [_, "sagastate", "act", *_]:
            return f"?id={SagaState.objects.get(key=order_id).pk}"
        case [_, "subscription", "act", *_]:
            return "?name=orders.details"
        case [_, "projectionsubscription", "act", *_]:
            return "?name=orders.details"
        case [_, "orderdetails", "act", *_]:
            return f"?id={order_id}"
        case [_, "returnview", "act", *_]:
            return f"?id={ReturnView.objects.get().pk}"
        case [_, "webhookendpoint", "act", *_]:
            return f"?id={WebhookEndpoint.objects.get().pk}"
        case [_, "webhookdelivery", "act", *_]:
            return f"?id={WebhookDelivery.objects.get().pk}"
    return ""


def _rows(order_id):
    keys = {
        "event": str(Event.objects.get(stream=f"order-{order_id}").position),
        "stream": f"order-{order_id}",
        "sagastate": str(SagaState.objects.get(key=order_id).pk),
        "orderdetails": order_id,
        "parked": str(Parked.objects.get().pk),
        "webhookendpoint": str(WebhookEndpoint.objects.get().pk),
        "webhookdelivery": str(WebhookDelivery.objects.get().pk),
    }
    return [
        (model, keys[model._meta.model_name])
        for model in models()
        if model._meta.model_name in keys
    ]
