"""A shop in a database, with either form of the process, and subscriptions held like a slow
provider."""

import json
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from knox.models import AuthToken
from standardwebhooks import Webhook

from access.authorization import OPERATIONS, SUPPORT
from config import wiring
from eventstore.commands import bus
from eventstore.models import Subscription
from eventstore.money import Money
from eventstore.outbox import cursors
from eventstore.testing import drain
from inventory.commands import ReceiveStock
from orders.commands import ListProduct
from orders.models import OrderDetails

from ..eventstore.conftest import forget_wiring

SECRET = "whsec_c2VjcmV0LW9mLXRoZS10ZXN0cw=="
ADDRESS = {
    "name": "Ada",
    "street": "Square 1",
    "city": "London",
    "postcode": "SW1Y",
    "country": "GB",
}
STOCK, PRICE = 10, 500


@pytest.fixture(params=wiring.PROCESSES)
def process(request, monkeypatch):
    others = {name for process in wiring.PROCESSES.values() for name in process}
    shared = {name: each for name, each in wiring.SUBSCRIPTIONS.items() if name not in others}
    monkeypatch.setattr(wiring, "SUBSCRIPTIONS", wiring.PROCESSES[request.param] | shared)
    forget_wiring()
    yield request.param
    monkeypatch.undo()
    forget_wiring()


@pytest.fixture
def shop(transactional_db, process, settings):
    settings.CARRIER_WEBHOOK_SECRETS = settings.STRIPE_WEBHOOK_SECRETS = [SECRET]
    Subscription.objects.filter(
        name__in=[name for each in wiring.PROCESSES.values() for name in each]
    ).delete()
    cursors.ensure_cursors()
    return Shop()


class Shop:
    """One customer, one product, and a user of every role."""

    def __init__(self):
        bus.dispatch(ListProduct("TEA", "Tea", Money(PRICE, "EUR")))
        bus.dispatch(ReceiveStock("TEA", STOCK))
        self.people = {name: _token(name, role) for name, role in PEOPLE.items()}
        self.client = Client()

    def place(self, *, method="tok_visa", postcode="SW1Y", quantity=1):
        body = {
            "items": [{"sku": "TEA", "quantity": quantity}],
            "address": ADDRESS | {"postcode": postcode},
            "payment_method": method,
        }
        answer = self.post("ada", "orders/", body)
        assert answer.status_code == 202, answer.content
        drain()
        return answer.json()["order_id"]

    def cancel(self, order_id):
        return self.post("ada", f"orders/{order_id}/cancel/", {"reason": "changed my mind"})

    def refund(self, order_id):
        return self.post("support", f"payments/{order_id}/refund/", {"reason": "goodwill"})

    def ship(self, order_id):
        return self.post("operator", f"shipments/{order_id}/ship/", {})

    def deliver(self, order_id):
        return self.post("operator", f"shipments/{order_id}/deliver/", {})

    def post(self, who, path, body):
        headers = {"Authorization": f"Bearer {self.people[who]}"}
        return self.client.post(
            f"/api/commands/{path}",
            json.dumps(body),
            content_type="application/json",
            headers=headers,
        )

    def carrier_says(self, type_, order_id):
        """Send a signed notice. Returns the response."""
        body = json.dumps({"type": type_, "data": {"order_id": order_id}})
        id_, at = uuid4().hex, datetime.now(UTC)
        headers = {
            "webhook-id": id_,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(SECRET).sign(id_, at, body),
        }
        return self.client.generic(
            "POST", "/api/webhooks/shipping/", body, "application/json", headers=headers
        )

    def order(self, order_id):
        return OrderDetails.objects.get(pk=order_id)


PEOPLE = {"ada": None, "support": SUPPORT, "operator": OPERATIONS}


def _token(name, role):
    user = User.objects.create(username=name)
    if role:
        user.groups.add(Group.objects.get_or_create(name=role)[0])
    return AuthToken.objects.create(user)[1]


@contextmanager
def paused(*subscriptions):
    Subscription.objects.filter(name__in=subscriptions).update(paused=True)
    try:
        yield
    finally:
        Subscription.objects.filter(name__in=subscriptions).update(paused=False)
        drain()
