"""manage.py demo: load example products, stock and users, and print commands to place an order."""

import json
from argparse import ArgumentParser
from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management.base import CommandError
from knox.models import AuthToken

from access.authorization import OPERATIONS, SUPPORT
from eventstore import messages
from eventstore.aggregate import stream_name
from eventstore.commands import bus, repository
from eventstore.console import permissions
from eventstore.management.command import EscapingCommand
from eventstore.money import Money
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

# For demonstrations only: this password is public.
PASSWORD = "demo-only"
TOKEN_PREFIX = "demo"

CUSTOMERS = ("ada", "grace", "linus")
STAFF = {"operator": OPERATIONS, "support": SUPPORT}
# Permissions in the console beyond viewing: operations may intervene, support may reveal addresses.
MORE_PERMISSIONS = {OPERATIONS: permissions.OPERATE, SUPPORT: permissions.REVEAL}
ADMIN = "admin"
NAMES = (*CUSTOMERS, *STAFF, ADMIN)

UNITS_OF_EACH = 100


class Command(EscapingCommand):
    help = (
        "Load example data and print how to use it. A second run changes nothing that the first one"
        " made."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--url", default="http://127.0.0.1:8000", help="address of the web server"
        )
        parser.add_argument(
            "--live", default="ws://127.0.0.1:8001", help="address of the socket server"
        )
        parser.add_argument(
            "--anyway", action="store_true", help="also if the database has other users"
        )

    def handle(self, *args: Any, url: str, live: str, anyway: bool, **options: Any) -> None:
        if not settings.ALLOW_DEMO:
            raise CommandError(
                "The demo's accounts have a public password, and one of them is a superuser: they"
                " are for development only. Set ALLOW_DEMO=1 to create them all the same."
            )
        changed = _changed_accounts()
        if not anyway and User.objects.exclude(username__in=NAMES).exists():
            raise CommandError(
                "This database has other users, and the demo's password is public. Use --anyway to"
                " create its accounts all the same."
            )
        _create_users(changed)
        # Products that are missing are listed and stocked; existing ones are left unchanged.
        commands: dict[str, messages.Command] = {}
        for sku, name, cents in PRODUCTS:
            commands[stream_name("product", sku)] = ListProduct(sku, name, Money(cents, "EUR"))
            commands[stream_name("stock", sku)] = ReceiveStock(sku, UNITS_OF_EACH, "demo")
        known = repository.load(commands)
        missing = [command for stream, command in commands.items() if known[stream].version == 0]
        bus.dispatch_all(missing)
        for name in changed:
            self.stdout.write(f"The account {name} has its own password; it is left unchanged.")
        url = url.rstrip("/")
        self.stdout.write(_about(url, live, changed, len(missing)))
        buyer = next((name for name in CUSTOMERS if name not in changed), None)
        if buyer:
            # A new token: the database has only the digest of the last one, which is deleted.
            user = User.objects.get(username=buyer)
            AuthToken.objects.filter(user=user, token_key__startswith=TOKEN_PREFIX).delete()
            _, token = AuthToken.objects.create(user, prefix=TOKEN_PREFIX)
            order = json.dumps(ORDER)
            text = PLACE.format(url=url, live=live, name=buyer, token=token, order=order)
            self.stdout.write(text)


def _changed_accounts() -> tuple[str, ...]:
    """The demo's accounts that have another password. They never get the public one, also with
    --anyway.

    Raises CommandError if all accounts found have another password and some are missing: then the
    names are not the demo's.
    """
    found = list(User.objects.filter(username__in=NAMES).order_by("username"))
    changed = tuple(user.username for user in found if not user.check_password(PASSWORD))
    if changed and len(changed) == len(found) < len(NAMES):
        raise CommandError(f"The account {changed[0]} has its own password; it is left unchanged.")
    return changed


def _create_users(changed: Collection[str]) -> None:
    for name in NAMES:
        if name in changed:
            continue
        user = User.objects.filter(username=name).first() or User.objects.create_user(
            name,
            password=PASSWORD,
            is_staff=name not in CUSTOMERS,
            is_superuser=name == ADMIN,
        )
        if role := STAFF.get(name):
            permissions.grant(role, MORE_PERMISSIONS[role])
            user.groups.add(Group.objects.get(name=role))


def _about(url: str, live: str, changed: Collection[str], loaded: int) -> str:
    customers, staff = (
        ", ".join(name for name in names if name not in changed) or "none"
        for names in (CUSTOMERS, STAFF)
    )
    return f"""
{len(PRODUCTS)} products, {UNITS_OF_EACH} of each in stock ({loaded} new commands).

  Admin     {url}/admin/{"" if ADMIN in changed else f"   {ADMIN}"}
  Commands  {url}/api/commands/
  Queries   {url}/api/queries/
  Sockets   {live}/ws/

  Customers {customers};  staff {staff};  superuser {"none" if ADMIN in changed else ADMIN}
  Password  {PASSWORD}   (for all of them; for demonstrations only)
"""


ORDER = {
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

PLACE = """Place an order as {name}; $LOCATION is the address of its query:

LOCATION=$(curl -sS -D - -o /dev/stderr {url}/api/commands/orders/ \
-H 'Authorization: Bearer {token}' \
-H 'Content-Type: application/json' \
-d '{order}' | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); echo

Query it:

curl -sS -w '\\n' "{url}$LOCATION" -H 'Authorization: Bearer {token}'

Follow all orders of {name}, in another terminal:

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
