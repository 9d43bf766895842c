"""manage.py webhooks [list|register|disable|enable|rotate|delete|send_again]: endpoints of
webhooks."""

import getpass
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.aggregate import CommandRejected
from eventstore.log import audit
from eventstore.management.command import EscapingCommand
from eventstore.models import WebhookEndpoint
from eventstore.operations import webhooks
from eventstore.webhooks import endpoints
from eventstore.webhooks.addresses import AddressRefused
from eventstore.webhooks.deliveries import NoSuchDelivery
from eventstore.webhooks.endpoints import Form, NoSuchEndpoint, UnknownTypes

MOST = 1000
ACTIONS = {
    "disable": webhooks.disable,
    "enable": webhooks.enable,
    "rotate": webhooks.rotate,
    "delete": webhooks.delete,
}
SHOW_SECRET = ("register", "rotate")
ERRORS = (
    AddressRefused,
    CommandRejected,
    UnknownTypes,
    audit.ReasonMissing,
    webhooks.NoSuchAccount,
)


class Command(EscapingCommand):
    help = (
        "List endpoints of webhooks; register, disable, enable or delete one, rotate its secret, or"
        " send a delivery again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        actions = parser.add_subparsers(dest="what")
        actions.add_parser("list", help="all endpoints; the default").add_argument(
            "--json", action="store_true", default=None
        )
        register = actions.add_parser("register", help="register an endpoint; shows its secret")
        register.add_argument("account", help="name of the account that owns it")
        register.add_argument("url")
        register.add_argument("types", nargs="+", help="published types; * for all")
        register.add_argument("--all", action="store_true", help="the events of all orders")
        acting = [register]
        for what, description in (
            ("disable", "send nothing to it; events of that time are never sent"),
            ("enable", "send what waits"),
            ("rotate", "make a new secret, and show it"),
            ("delete", "delete it and its deliveries"),
            ("send_again", "send a delivery now, with the same webhook-id"),
        ):
            action = actions.add_parser(what, help=description)
            action.add_argument("endpoint", type=UUID)
            if what == "send_again":
                action.add_argument("delivery", type=int)
            acting.append(action)
        for action in acting:
            action.add_argument("--reason", required=True)
            action.add_argument("--json", action="store_true", default=None)

    def handle(self, *args: Any, **options: Any) -> None:
        what = options.get("what")
        if what in (None, "list"):
            found = WebhookEndpoint.objects.exclude(status=endpoints.DELETED).order_by("id")
            rows = [_summary(each) for each in found[:MOST]]
            if options["json"]:
                self.stdout.write(codec.encode_json(rows).decode())
            for row in [] if options["json"] else rows:
                self.stdout.write(" ".join(map(str, row.values())))
            return
        id_: Any = options.get("endpoint")
        given = {"who": getpass.getuser(), "reason": options["reason"]}
        try:
            if what == "register":
                form = Form(options["url"], options["types"])
                id_ = webhooks.register(
                    options["account"], form, is_for_all=options["all"], **given
                )
            elif what == "send_again":
                webhooks.send_again(id_, options["delivery"], **given)
            else:
                ACTIONS[what](id_, **given)
            endpoint = WebhookEndpoint.objects.get(pk=id_)
        except (NoSuchEndpoint, NoSuchDelivery):
            raise CommandError("There is no such endpoint or delivery.") from None
        except ERRORS as error:
            raise CommandError(getattr(error, "detail", str(error))) from error
        secret = {"secret": endpoints.secret_of(endpoint)} if what in SHOW_SECRET else {}
        result = _summary(endpoint) | secret
        if options["json"]:
            self.stdout.write(codec.encode_json(result).decode())
        else:
            self.stdout.write("\n".join(f"{name}: {value}" for name, value in result.items()))


def _summary(found: WebhookEndpoint) -> dict[str, Any]:
    return {
        "endpoint": found.pk,
        "owner": found.owner,
        "orders": "all" if found.is_for_all else "own",
        "status": found.status,
        "disabled_reason": found.disabled_reason,
        "waiting": found.queued,
        "failures": found.failures,
        "url": found.url,
    }
