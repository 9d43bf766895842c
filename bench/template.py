"""Prepare the template of our databases: schema, catalogue, and more stock than any run orders."""

import json

import django
from django.core.management import call_command

from eventstore.commands import bus
from eventstore.money import Money
from inventory.commands import ReceiveStock
from orders.commands import ListProduct

from . import basket


def main() -> None:
    django.setup()
    from eventstore.delivery import worker  # it needs the models

    call_command("migrate", verbosity=0)
    bus.dispatch_all(
        ListProduct(sku, f"Product {sku}", Money(basket.PRICES[sku], "USD", 2))
        for sku in basket.PRODUCTS
    )
    bus.dispatch_all(ReceiveStock(sku, basket.PLENTY, "bench") for sku in basket.PRODUCTS)
    print(json.dumps({"delivered": worker.work(seconds=60)}))
