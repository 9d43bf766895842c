"""manage.py cancel_order ORDER --reason WHY: call an order off, as support does from its page."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec
from eventstore.aggregate import CommandRejected
from eventstore.log import audit
from orders import customer_service as support


class Command(BaseCommand):
    help = (
        "Cancel an order that is still open; its saga undoes what was done of it: parcel, stock and"
        " payment."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="its id")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        order = options["order"]
        try:
            support.cancel(order, who=getpass.getuser(), reason=options["reason"])
        except (CommandRejected, audit.ReasonMissing) as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        told = {"order_id": order, "cancelled": True}
        self.stdout.write(
            codec.encode_json(told).decode() if options["json"] else f"{order} is cancelled."
        )
