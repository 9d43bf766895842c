"""A shop with one completed order, and clients of staff."""

import re
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from eventstore.commands import bus
from eventstore.models import (
    Subscription,
    WebhookAttempt,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookMessage,
)
from eventstore.money import Money
from eventstore.testing import drain
from eventstore.webhooks import secrets
from inventory.commands import ReceiveStock
from orders.commands import IssueCredit, Item, ListProduct, PlaceOrder, RequestReturn
from orders.events import OrderLine, Portion
from shipping.commands import Address


@pytest.fixture
def staff(db):
    client = Client()
    client.force_login(User.objects.create_superuser("root", "root@example.com", "root"))
    return client


@pytest.fixture
def shop(transactional_db):
    bus.dispatch_all(
        [ListProduct("CUP", "A <b>cup</b>", Money(450, "EUR")), ReceiveStock("CUP", 1000)]
    )
    drain()


@pytest.fixture
def order(shop):
    """The id of an order that was paid, reserved, shipped and confirmed."""
    order_id = place()
    drain()
    return order_id


@pytest.fixture
def books(order):
    """A return in progress for the order, and a credit without an order."""
    bus.dispatch(
        RequestReturn(
            str(uuid4()), order, (Portion(1, 1),), (), "too <b>small</b>", datetime.now(UTC)
        )
    )
    line = OrderLine("CUP", "A <b>cup</b>", 1, 450)
    bus.dispatch(
        IssueCredit(str(uuid4()), "customer-1", (line,), (), "EUR", 2, "C1", datetime.now(UTC))
    )
    drain()
    hook()


def hook():
    """An endpoint of webhooks, and a delivery that has failed."""
    salt, key_id = secrets.new_salt()
    endpoint = WebhookEndpoint.objects.create(
        id=uuid4(),
        owner="customer-1",
        is_for_all=False,
        url="https://partner.example/<script>alert(4)</script>",
        types=["*"],
        after=0,
        salt=salt,
        key_id=key_id,
        last_error="<script>alert(5)</script>",
    )
    message = WebhookMessage.objects.create(
        id=uuid4(), type="orders.order_details", key="order-1", position=1, body="{}"
    )
    now = datetime.now(UTC)
    delivery = WebhookDelivery.objects.create(
        endpoint=endpoint,
        message=message,
        key="order-1",
        bytes=2,
        status="failed",
        attempts=1,
        until=now,
        ended_at=now,
        error="HTTP 500.",
    )
    WebhookAttempt.objects.create(
        delivery=delivery,
        number=1,
        at=now,
        seconds=0.1,
        status=500,
        error="HTTP 500.",
        response="<script>alert(6)</script>",
    )
    return endpoint


def place(method="tok_visa", **address):
    order_id = str(uuid4())
    items = (Item("CUP", 2),)
    address = Address(**{"name": "Ada", "postcode": "SW1Y"} | address)
    bus.dispatch(PlaceOrder(order_id, "customer-1", items, address, method, datetime.now(UTC)))
    return order_id


def place_many(count):
    placed = [place() for _ in range(count)]
    drain()
    return placed


@contextmanager
def busy(context):
    """Commands for this context are not decided at once; they wait in the outbox."""
    subscription = Subscription.objects.filter(pk=context)
    subscription.update(paused=True)
    yield
    subscription.update(paused=False)


def member(name, group, right=None):
    """The client of a staff member in this group. right: a console permission for the group;
    None if it has some."""
    if right:
        call_command("console_roles", right, group)
    user = User.objects.create_user(name, is_staff=True)
    user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def digest_of(page):
    """The digest of the targets that a confirmation page shows."""
    return re.search(r'name="digest" value="(\w+)"', page.content.decode()).group(1)


def say_yes(client, address, reason, **words):
    """Confirm as a browser does: with the digest of the targets that were shown."""
    return client.post(
        address, {"reason": reason, "digest": digest_of(client.get(address))} | words
    )
