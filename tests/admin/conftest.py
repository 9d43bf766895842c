"""A shop with one completed order, and clients of staff."""

import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.test import Client

from eventstore.commands import bus
from eventstore.money import Money
from eventstore.testing import drain
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
