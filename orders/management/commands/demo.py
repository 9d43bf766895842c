"""Example products, stock and people, and the lines to paste to place an order and to look at
it."""

import json
from argparse import ArgumentParser
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management.base import BaseCommand, CommandError
from knox.models import AuthToken

from access.permissions import OPERATIONS, SUPPORT
from eventstore.aggregate import stream_name
from eventstore.commands import bus, repository
from eventstore.console import permissions as rights
from eventstore.messages import Command as Wish
from eventstore.money import Money
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

# For demonstrations only: it is public, and so is whatever it protects.
PASSWORD = "demo-only"
TOKEN_PREFIX = "demo"

CUSTOMERS = ("ada", "grace", "linus")
STAFF = {"operator": OPERATIONS, "support": SUPPORT}
# In the console, beside looking: who mends the machinery, and who may see the address that a
# customer asks about.
MORE_RIGHTS = {OPERATIONS: rights.OPERATE, SUPPORT: rights.REVEAL}
ADMIN = "admin"
NAMES = (*CUSTOMERS, *STAFF, ADMIN)

UNITS_OF_EACH = 100


class Command(BaseCommand):
    help = (
        "Loads example data and says how to look at it. A second run changes nothing that the first"
        " one made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url", default="http://127.0.0.1:8000", help="where the web server answers"
        )
        parser.add_argument(
            "--live", default="ws://127.0.0.1:8001", help="where the socket server listens"
        )
        parser.add_argument(
            "--anyway", action="store_true", help="even if there are users that are not the demo's"
        )

    def handle(self, *args: Any, url: str, live: str, anyway: bool, **options: Any) -> None:
        if not settings.ALLOW_DEMO:
            raise CommandError(
                "The demo's accounts have a public password, one of them may do everything: they"
                " are for development. To make them all the same, set ALLOW_DEMO=1."
            )
        kept = _kept()
        if not anyway and User.objects.exclude(username__in=NAMES).exists():
            raise CommandError(
                "This database has users of its own, and the demo's passwords are public. --anyway"
                " insists."
            )
        _people(kept)
        loaded = _goods()
        for name in kept:
            self.stdout.write(f"The account {name} has a password of its own and stays as it is.")
        self.stdout.write(_about(url.rstrip("/"), live, kept, loaded))
        buyer = next((name for name in CUSTOMERS if name not in kept), None)
        if buyer:
            self.stdout.write(_lines(url.rstrip("/"), live, buyer, _token(buyer)))


def _kept() -> tuple[str, ...]:
    """Those of the demo's accounts that somebody has given another password. Raises CommandError
    where none is ours.

    Nobody's account is given a public password, whatever is insisted on.
    """
    found = list(User.objects.filter(username__in=NAMES).order_by("username"))
    kept = tuple(user.username for user in found if not user.check_password(PASSWORD))
    if kept and len(kept) == len(found) < len(NAMES):
        raise CommandError(
            f"There is an account {kept[0]} with a password of its own, which stays as it is."
        )
    return kept


def _people(kept: Collection[str]) -> None:
    for name in NAMES:
        if name in kept:
            continue
        user = _user(name, is_staff=name not in CUSTOMERS, is_superuser=name == ADMIN)
        if role := STAFF.get(name):
            rights.grant(role, MORE_RIGHTS[role])
            user.groups.add(Group.objects.get(name=role))


def _user(name: str, **rights: Any) -> User:
    user = User.objects.filter(username=name).first()
    return user or User.objects.create_user(name, password=PASSWORD, **rights)


def _goods() -> int:
    """List and stock what is not there yet; what has changed since the first run is left as it
    is."""
    missing = [wish for sku, name, cents in PRODUCTS for wish in _missing(sku, name, cents)]
    bus.dispatch_all(missing)
    return len(missing)


def _missing(sku: str, name: str, cents: int) -> list[Wish]:
    wishes = {
        stream_name("product", sku): ListProduct(sku, name, Money(cents, "EUR")),
        stream_name("stock", sku): ReceiveStock(sku, UNITS_OF_EACH, "demo"),
    }
    known = repository.load(wishes)
    return [wish for stream, wish in wishes.items() if known[stream].version == 0]


def _token(name: str) -> str:
    """A new one each time, for only its digest is kept; the one of the last run ends."""
    user = User.objects.get(username=name)
    AuthToken.objects.filter(user=user, token_key__startswith=TOKEN_PREFIX).delete()
    _, token = AuthToken.objects.create(user, prefix=TOKEN_PREFIX)
    return str(token)


def _about(url: str, live: str, kept: Collection[str], loaded: int) -> str:
    customers, staff = (
        ", ".join(name for name in names if name not in kept) or "none"
        for names in (CUSTOMERS, STAFF)
    )
    return f"""
{len(PRODUCTS)} products, {UNITS_OF_EACH} of each in stock ({loaded} steps were new).

  Admin     {url}/admin/{"" if ADMIN in kept else f"   {ADMIN}"}
  Commands  {url}/api/commands/
  Queries   {url}/api/queries/
  Sockets   {live}/ws/

  Customers {customers};  staff {staff};  superuser {"none" if ADMIN in kept else ADMIN}
  Password  {PASSWORD}   (of all of them; for demonstrations only)
"""


def _lines(url: str, live: str, name: str, token: str) -> str:
    order = {
        "items": [{"sku": "TEA-EARL-GREY", "quantity": 2}, {"sku": "POT-CAST-IRON", "quantity": 1}],
        "address": {
            "name": "Ada Lovelace",
            "street": "12 Saint James Square",
            "city": "London",
            "postcode": "SW1Y 4JH",
            "country": "GB",
        },
        "payment_method": "tok_visa",
    }
    bearer = f"-H 'Authorization: Bearer {token}'"
    return f"""Place an order as {name}; where to ask for it is kept in $LOCATION:

LOCATION=$(curl -sS -D - -o /dev/stderr {url}/api/commands/orders/ {bearer} \
-H 'Content-Type: application/json' \
-d '{json.dumps(order)}' | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); echo

Ask for it:

curl -sS -w '\\n' "{url}$LOCATION" {bearer}

Watch all of {name}'s orders as they happen, in another terminal:

.venv/bin/python manage.py follow --url {live} --token {token}
"""


# SKU, name, price in cents.
PRODUCTS = (
    ("TEA-EARL-GREY", "Earl Grey, loose, 100 g", 890),
    ("TEA-DARJEELING", "Darjeeling first flush, 100 g", 1490),
    ("TEA-ASSAM", "Assam, strong, 250 g", 1190),
    ("TEA-SENCHA", "Sencha, 100 g", 1290),
    ("TEA-OOLONG", "Oolong, lightly roasted, 100 g", 1690),
    ("TEA-ROOIBOS", "Rooibos, 250 g", 790),
    ("TEA-MINT", "Moroccan mint, 100 g", 590),
    ("COFFEE-SIDAMO", "Coffee, Sidamo, whole beans, 500 g", 1590),
    ("COFFEE-HUILA", "Coffee, Huila, whole beans, 500 g", 1450),
    ("COFFEE-DECAF", "Coffee, decaffeinated, ground, 250 g", 890),
    ("POT-CAST-IRON", "Cast iron teapot, 0.8 l", 6900),
    ("POT-GLASS", "Glass teapot with strainer, 1.2 l", 3490),
    ("CUP-STONEWARE", "Stoneware cup", 1250),
    ("CUP-DOUBLE-WALL", "Double-walled glass, set of two", 1990),
    ("STRAINER-STEEL", "Tea strainer, steel", 990),
    ("KETTLE-GOOSENECK", "Gooseneck kettle, 1 l", 7900),
    ("GRINDER-HAND", "Hand grinder, steel burrs", 8900),
    ("FILTER-PAPER", "Paper filters, 100 pieces", 450),
    ("HONEY-LINDEN", "Linden honey, 500 g", 980),
    ("SHORTBREAD", "Butter shortbread, 300 g", 620),
)
