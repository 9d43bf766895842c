"""The members of each request body, as an allow-list. A client can write nothing else."""

import json
import re

import pytest
from django.urls import URLPattern, get_resolver
from rest_framework import serializers

from eventstore.api.commands import CommandView
from eventstore.api.serializers import StrictSerializer
from eventstore.models import Event

from .conftest import NOBODY, pointers
from .test_permissions import BODIES

PRICE = ["amount", "currency", "exponent"]
PORTIONS = ["lines[].number", "lines[].quantity"]
# Every path in each body. A path that is missing here fails, and so does one that no body has.
WRITABLE = {
    "api/commands/orders/": [
        *("items[].sku", "items[].quantity", *(f"items[].seen.{name}" for name in PRICE)),
        *(f"address.{name}" for name in ("name", "street", "city", "postcode", "country")),
        "payment_method",
    ],
    "api/commands/orders/<key:order_id>/cancel/": ["reason"],
    "api/commands/orders/<key:order_id>/returns/": [
        *PORTIONS,
        "charges[].number",
        "charges[].quantity",
        "reason",
    ],
    "api/commands/returns/<key:return_id>/receive/": [*PORTIONS, "delivery"],
    "api/commands/returns/<key:return_id>/close/": ["reason"],
    "api/commands/products/": ["sku", "name", *(f"price.{name}" for name in PRICE)],
    "api/commands/catalogue/": ["sku", "name", *(f"price.{name}" for name in PRICE)],
    "api/commands/stock/": ["sku", "quantity", "reference"],
    "api/commands/products/<key:sku>/reprice/": [f"price.{name}" for name in PRICE],
    "api/commands/products/<key:sku>/delist/": [],
    "api/commands/stock/<key:sku>/receive/": ["quantity", "reference"],
    "api/commands/stock/<key:sku>/adjust/": ["quantity", "reason"],
    "api/commands/payments/<key:order_id>/refund/": ["reason"],
    "api/commands/shipments/<key:order_id>/ship/": [],
    "api/commands/shipments/<key:order_id>/deliver/": [],
    "api/commands/webhooks/": ["url", "types[]", "description", "orders"],
    "api/commands/webhooks/<uuid:endpoint_id>/change/": ["url", "types[]", "description"],
    "api/commands/webhooks/<uuid:endpoint_id>/rotate-secret/": [],
    "api/commands/webhooks/<uuid:endpoint_id>/disable/": [],
    "api/commands/webhooks/<uuid:endpoint_id>/enable/": [],
    "api/commands/webhooks/<uuid:endpoint_id>/delete/": [],
    "api/commands/webhooks/<uuid:endpoint_id>/send-failed-again/": ["since"],
    "api/commands/webhooks/<uuid:endpoint_id>/deliveries/<int:delivery_id>/send-again/": [],
}
# One such object on each line.
BULK = ("api/commands/catalogue/", "api/commands/stock/")
COVETED = [
    "status",
    "total",
    "price",
    "customer",
    "customer_id",
    "paid_at",
    "version",
    "position",
    "is_staff",
    "id",
]
COVETED += ["order_id", "placed_at", "reference", "actor", "__proto__", "__class__", "self"]


def views(patterns, prefix=""):
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if not isinstance(pattern, URLPattern):
            yield from views(pattern.url_patterns, route)
        else:
            yield route, getattr(pattern.callback, "cls", object)


def paths(field):
    """Every serializer of a body is a StrictSerializer, which rejects unknown members."""
    if isinstance(field, serializers.ListField):
        yield from (f"[]{path}" for path in paths(field.child))
    elif isinstance(field, serializers.BaseSerializer):
        assert isinstance(field, StrictSerializer), field
        for name, each in field.fields.items():
            yield from (f".{name}{path}" for path in paths(each))
    else:
        assert not isinstance(field, serializers.DictField | serializers.JSONField), field
        yield ""


def test_every_body_has_the_members_of_the_list_and_no_others():
    found = {
        route: [path[1:] for path in paths(view.serializer_class())] for route, view in _commands()
    }
    assert {route: sorted(members) for route, members in found.items()} == {
        route: sorted(members) for route, members in WRITABLE.items()
    }


@pytest.mark.parametrize("route", WRITABLE)
def test_what_else_is_sent_is_refused_by_its_name_and_changes_nothing(shop, person, route):
    root, before = person("root", is_superuser=True), Event.objects.count()
    address = "/" + route.replace("<key:order_id>", "X").replace("<key:return_id>", "X").replace(
        "<key:sku>", "CUP"
    )
    address = address.replace("<uuid:endpoint_id>", NOBODY).replace("<int:delivery_id>", "1")
    body = BODIES.get(re.sub("<(key|uuid|int):", "<", route), {})
    kind, line = ("application/x-ndjson", "/1") if route in BULK else ("application/json", "")
    for name in COVETED:
        if name in {path.partition(".")[0] for path in WRITABLE[route]}:
            continue
        answer = root.post(address, body | {name: "x"}, content_type=kind)
        assert pointers(answer) == [f"#{line}/{name}"]
        for inner in (key for key, value in body.items() if isinstance(value, dict)):
            if f"{inner}.{name}" not in WRITABLE[route]:
                assert pointers(
                    root.post(
                        address,
                        json.loads(json.dumps(body)) | {inner: body[inner] | {name: 1}},
                        content_type=kind,
                    )
                )
    assert Event.objects.count() == before


def _commands():
    return [each for each in views(get_resolver().url_patterns) if issubclass(each[1], CommandView)]
