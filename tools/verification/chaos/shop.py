"""Prepares a shop: schema, stock, customers with their tokens; prints them as one line of JSON.

usage: python -m tools.verification.chaos.shop CUSTOMERS   (DATABASE_URL: an empty database)
"""

import json
import sys

import django

SKUS = [f"SKU-{number:02}" for number in range(30)]
# The most popular SKUs are scarce: without more buyers than units, overselling would go unnoticed.
SCARCE, PLENTY = 60, 1_000_000
STAFF = "operator"


def main(customers: int) -> None:
    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0)
    print(json.dumps({"stock": _goods(), "tokens": _people(customers)}))


def _goods() -> dict[str, int]:
    from eventstore.commands import bus
    from eventstore.money import Money
    from inventory.commands import ReceiveStock
    from orders.commands import ListProduct

    stock = {sku: SCARCE if number < 3 else PLENTY for number, sku in enumerate(SKUS)}
    bus.dispatch_all(
        ListProduct(sku, f"Product {sku}", Money(500 + 100 * len(sku), "EUR")) for sku in SKUS
    )
    bus.dispatch_all(ReceiveStock(sku, units, "chaos") for sku, units in stock.items())
    return stock


def _people(customers: int) -> dict[str, str]:
    from django.contrib.auth.models import Group, User
    from knox.models import AuthToken

    from access.authorization import OPERATIONS
    from access.models import Customer

    staff = User.objects.create(username=STAFF, is_staff=True)
    staff.groups.add(Group.objects.get_or_create(name=OPERATIONS)[0])
    users = [
        staff,
        *(User.objects.create(username=f"customer-{number}") for number in range(customers)),
    ]
    # The username as customer id, so that the clients' log and the event log use the same one.
    Customer.objects.bulk_create(Customer(customer_id=user.username, user=user) for user in users)
    return {user.username: AuthToken.objects.create(user)[1] for user in users}


if __name__ == "__main__":
    main(int(sys.argv[1]))
