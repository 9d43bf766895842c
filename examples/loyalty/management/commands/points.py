"""manage.py points [CUSTOMER]: the points of each customer."""

from typing import Any

from django.core.management.base import CommandParser
from django.template.defaultfilters import pluralize

from eventstore.management.command import EscapingCommand
from examples.loyalty.models import Balance


class Command(EscapingCommand):
    help = "Show the points of each customer, or of one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("customer", nargs="?", help="the id of a customer; all by default")

    def handle(self, *args: Any, **options: Any) -> None:
        balances = Balance._default_manager.order_by("-points", "customer_id")
        if options["customer"]:
            balances = balances.filter(customer_id=options["customer"])
        for each in balances:
            points = f"{each.points} point{pluralize(each.points)}"
            orders = f"{each.orders} order{pluralize(each.orders)}"
            self.stdout.write(f"{each.customer_id}  {points} for {orders}")
        if not balances:
            self.stdout.write("No customer has points yet.")
