"""manage.py cancel_order ORDER --reason WHY: cancel an order, as support does in the console."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.aggregate import CommandRejected
from eventstore.log import audit
from eventstore.management.command import EscapingCommand
from orders import customer_service


class Command(EscapingCommand):
    help = "Cancel an order that is not confirmed yet. Its saga undoes parcel, stock and payment."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("order", help="its id")
        parser.add_argument("--reason", required=True)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        order = options["order"]
        try:
            customer_service.cancel(order, who=getpass.getuser(), reason=options["reason"])
        except (CommandRejected, audit.ReasonMissing) as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        result = {"order_id": order, "cancelled": True}
        self.stdout.write(
            codec.encode_json(result).decode() if options["json"] else f"{order} is cancelled."
        )
