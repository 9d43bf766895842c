"""Permissions: every route, every kind of user."""

import re

import pytest
from django.urls import URLPattern, get_resolver

from access.authorization import ADMIN, FINANCE, OPERATIONS, SUPPORT
from eventstore.models import WebhookDelivery
from eventstore.testing import drain

from .conftest import ADDRESS, HOOK, IDS, NOBODY

PEOPLE = ("anonymous", "owner", "other", "support", "operations", "finance", "admin", "superuser")

PRICE = {"amount": 100, "currency": "EUR"}
ORDER = {"items": [{"sku": "CUP", "quantity": 1}], "address": ADDRESS, "payment_method": "tok_visa"}

# The statuses for each of PEOPLE. The order belongs to the owner, and is confirmed.
ALLOWED = {
    "GET health/live": (200, 200, 200, 200, 200, 200, 200, 200),
    "GET api/openapi.json": (200, 200, 200, 200, 200, 200, 200, 200),
    "GET api/asyncapi.json": (200, 200, 200, 200, 200, 200, 200, 200),
    "GET api/docs/": (200, 200, 200, 200, 200, 200, 200, 200),
    "GET api/docs/events/": (200, 200, 200, 200, 200, 200, 200, 200),
    "GET health/ready": (200, 200, 200, 200, 200, 200, 200, 200),
    "POST api/auth/login/": (401, 401, 401, 401, 401, 401, 401, 401),
    "POST api/auth/logout/": (401, 204, 204, 204, 204, 204, 204, 204),
    "POST api/commands/orders/": (401, 202, 202, 202, 202, 202, 202, 202),
    "POST api/commands/orders/<order_id>/cancel/": (401, 409, 404, 409, 404, 404, 409, 409),
    "POST api/commands/products/": (401, 403, 403, 403, 202, 403, 202, 202),
    # In another form than JSON: test_bulk.py.
    "POST api/commands/catalogue/": (401, 403, 403, 403, 415, 403, 415, 415),
    "POST api/commands/stock/": (401, 403, 403, 403, 415, 403, 415, 415),
    "POST api/commands/products/<sku>/reprice/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/products/<sku>/delist/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/stock/<sku>/receive/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/stock/<sku>/adjust/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/payments/<order_id>/refund/": (401, 403, 403, 202, 403, 202, 202, 202),
    "POST api/commands/shipments/<order_id>/ship/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/shipments/<order_id>/deliver/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/orders/<order_id>/returns/": (401, 202, 404, 202, 404, 404, 202, 202),
    "POST api/commands/returns/<return_id>/receive/": (401, 403, 403, 403, 202, 403, 202, 202),
    "POST api/commands/returns/<return_id>/close/": (401, 403, 403, 403, 409, 403, 409, 409),
    "GET api/queries/returns/": (401, 200, 200, 200, 200, 200, 200, 200),
    "GET api/queries/returns/?customer=<customer_id>": (401, 200, 403, 200, 200, 200, 200, 200),
    "GET api/queries/returns/<return_id>/": (401, 200, 404, 200, 200, 200, 200, 200),
    "GET api/queries/bookings/": (401, 403, 403, 200, 200, 200, 200, 200),
    # The endpoint belongs to the owner.
    "GET api/queries/webhooks/": (401, 200, 200, 200, 200, 200, 200, 200),
    "GET api/queries/webhooks/<endpoint_id>/": (401, 200, 404, 404, 200, 404, 200, 200),
    "GET api/queries/webhooks/<endpoint_id>/deliveries/": (
        *(401, 200, 404, 404, 200, 404, 200, 200),
    ),
    "GET api/queries/webhooks/<endpoint_id>/deliveries/<delivery_id>/": (
        *(401, 200, 404, 404, 200, 404, 200, 200),
    ),
    "POST api/commands/webhooks/": (401, 202, 202, 202, 202, 202, 202, 202),
    **{
        f"POST api/commands/webhooks/<endpoint_id>/{what}/": (401, 202, *(404,) * 6)
        for what in (
            "change",
            "rotate-secret",
            "send-failed-again",
            "deliveries/<delivery_id>/send-again",
            "disable",
            "enable",
            "delete",
        )
    },
    # Webhooks are disabled: no secret is set here.
    "POST api/webhooks/payments/stripe/": (503,) * 8,
    "POST api/webhooks/shipping/": (503,) * 8,
    "GET api/queries/commands/<command_id>/": (401, 200, 404, 200, 200, 200, 200, 200),
    "GET api/queries/orders/": (401, 200, 200, 200, 200, 200, 200, 200),
    "GET api/queries/orders/?customer=<customer_id>": (401, 200, 403, 200, 200, 200, 200, 200),
    "GET api/queries/orders/<order_id>/": (401, 200, 404, 200, 200, 200, 200, 200),
    "GET api/queries/orders/<order_id>/history/": (401, 200, 404, 200, 200, 200, 200, 200),
    "GET api/queries/orders/<order_id>/progress/": (401, 200, 404, 200, 200, 200, 200, 200),
    "GET api/queries/products/": (401, 200, 200, 200, 200, 200, 200, 200),
    "GET api/queries/products/<sku>/": (401, 200, 200, 200, 200, 200, 200, 200),
    "GET api/queries/stock/": (401, 403, 403, 200, 200, 200, 200, 200),
    "GET api/queries/stock/<sku>/": (401, 403, 403, 200, 200, 200, 200, 200),
    "GET api/queries/payments/": (401, 403, 403, 200, 200, 200, 200, 200),
    "GET api/queries/payments/<order_id>/": (401, 200, 404, 200, 200, 200, 200, 200),
    "GET api/queries/shipments/": (401, 403, 403, 200, 200, 200, 200, 200),
    "GET api/queries/shipments/<order_id>/": (401, 200, 404, 200, 200, 200, 200, 200),
}

BODIES = {
    "api/auth/login/": {"username": "ada", "password": "wrong"},
    "api/commands/orders/": ORDER,
    "api/commands/products/": {"sku": "MUG", "name": "A mug", "price": PRICE},
    "api/commands/catalogue/": {"sku": "MUG", "name": "A mug", "price": PRICE},
    "api/commands/stock/": {"sku": "MUG", "quantity": 1},
    "api/commands/products/<sku>/reprice/": {"price": PRICE},
    "api/commands/stock/<sku>/receive/": {"quantity": 1},
    "api/commands/stock/<sku>/adjust/": {"quantity": 1, "reason": "counted"},
    "api/commands/orders/<order_id>/returns/": {
        "lines": [{"number": 1, "quantity": 1}],
        "reason": "too small",
    },
    "api/commands/returns/<return_id>/close/": {"reason": "never came"},
    "api/commands/payments/<order_id>/refund/": {"reason": "goodwill"},
    "api/commands/webhooks/": HOOK,
    "api/commands/webhooks/<endpoint_id>/change/": HOOK,
    "api/commands/webhooks/<endpoint_id>/send-failed-again/": {"since": "2026-01-01T00:00:00Z"},
}


def routes(patterns, prefix=""):
    """Every method of every URL of this project, as METHOD route."""
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        route = re.sub("<(key|uuid|int):", "<", route)
        if not isinstance(pattern, URLPattern):
            yield from routes(pattern.url_patterns, route)
        else:
            view = getattr(pattern.callback, "cls", None)
            methods = [
                name for name in ("get", "post", "put", "patch", "delete") if hasattr(view, name)
            ]
            yield from (f"{method.upper()} {route}" for method in methods or ["get"])


def test_every_route_stands_in_the_table():
    # The table of the registry is in registry/test_rights.py.
    ours = {
        route
        for route in routes(get_resolver().url_patterns)
        if not route.partition(" ")[2].startswith(("admin/", "api/registry/"))
    }
    known = {route.partition("?")[0] for route in ALLOWED}
    assert ours - known == set(), "say in ALLOWED who may use these"
    assert known - ours == set(), "these are no routes any more"


def test_everybody_may_what_the_table_says(shop, person, anonymous):
    people = {
        "anonymous": anonymous,
        "owner": person("ada"),
        "other": person("grace"),
        "support": person("helen", SUPPORT),
        "operations": person("otto", OPERATIONS),
        "finance": person("flo", FINANCE),
        "admin": person("alma", ADMIN),
        "superuser": person("root", is_superuser=True),
    }
    hook = _endpoint_of(people["owner"])
    order_id = people["owner"].placed({"sku": "CUP", "quantity": 8})
    refunded = people["owner"].placed()
    left = (
        people["owner"]
        .post("/api/commands/orders/", ORDER, Prefer="respond-async")
        .json()["command_id"]
    )
    drain()
    return_id = _return_of(people["owner"], order_id)
    named = {"order_id": order_id, "return_id": return_id, "sku": "CUP", "command_id": left}
    named["customer_id"] = people["owner"].customer_id
    named |= {"endpoint_id": hook, "delivery_id": str(WebhookDelivery.objects.first().pk)}
    answered = {
        # Logging out comes last, as it revokes everyone's token.
        # The parcel of an order that is being refunded is not shipped.
        route: tuple(
            _asked(
                people[name], route, named | ({"order_id": refunded} if "refund" in route else {})
            ).status_code
            for name in PEOPLE
        )
        for route in sorted(ALLOWED, key=lambda route: "logout" in route)
    }
    assert answered == ALLOWED


def test_what_is_anothers_cannot_be_told_from_what_is_not_there(shop, person):
    owner, other = person("ada"), person("grace")
    hook, order_id = _endpoint_of(owner), owner.placed()
    left = owner.post("/api/commands/orders/", ORDER, Prefer="respond-async").json()["command_id"]
    drain()
    there = {
        "order_id": order_id,
        "return_id": _return_of(owner, order_id),
        "sku": "CUP",
        "command_id": left,
        "endpoint_id": hook,
        "delivery_id": str(WebhookDelivery.objects.first().pk),
    }
    gone = dict.fromkeys(there, NOBODY) | {"delivery_id": "999999"}
    private = [
        route for route, answered in ALLOWED.items() if answered[PEOPLE.index("other")] == 404
    ]
    assert len(private) >= 9
    for route in private:
        answers = [_asked(other, route, named) for named in (there, gone)]
        assert set(answers[0].headers) == set(answers[1].headers), route
        bodies = [answer.json() for answer in answers]
        for each in bodies:
            for name in ("instance", *IDS):
                del each[name]
        assert bodies[0] == bodies[1], route


@pytest.mark.parametrize("staff", [{"is_staff": True}, {}])
def test_the_admins_door_opens_none_of_ours(person, staff):
    assert person("eve", **staff).get("/api/queries/stock/CUP/").status_code == 403


def _return_of(owner, order_id):
    route = "api/commands/orders/<order_id>/returns/"
    return_id = owner.post("/" + route.replace("<order_id>", order_id), BODIES[route]).json()[
        "return_id"
    ]
    drain()
    return return_id


def _endpoint_of(owner):
    return owner.post("/api/commands/webhooks/", HOOK).json()["endpoint_id"]


def _asked(api, route, named):
    method, _, path = route.partition(" ")
    address = re.sub("<([a-z_]+)>", lambda part: named[part[1]], f"/{path}")
    return api.get(address) if method == "GET" else api.post(address, BODIES.get(path))
