"""manage.py returns request|receive|close: the actions of staff on returns, as in the console."""

import getpass
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.aggregate import CommandRejected
from eventstore.log import InvalidStreamName, audit
from eventstore.management.command import EscapingCommand
from eventstore.messages import InvalidMessage
from orders import customer_service
from orders.events import Portion

FORM = re.compile(r"(?P<number>[1-9][0-9]{0,8}):(?P<quantity>[1-9][0-9]{0,8})", re.ASCII)


class Command(EscapingCommand):
    help = "Request a return, receive its goods, or close it."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        request = actions.add_parser(
            "request", help="goods are refunded once they arrive, charges at once"
        )
        request.add_argument("order", help="its id")
        _add_portions(request, "--line", "units of an order's line to return")
        _add_portions(request, "--charge", "units of an order's charge to refund")
        receive = actions.add_parser("receive", help="the goods have arrived")
        _add_portions(receive, "--line", "units that arrived; default: all that are awaited")
        receive.add_argument(
            "--delivery",
            default="",
            help="the parcel's name; it distinguishes two parcels with the same goods",
        )
        close = actions.add_parser("close", help="stop waiting for the goods")
        for action in (receive, close):
            action.add_argument("return_id", metavar="return", help="its id")
        for action in (request, receive, close):
            action.add_argument("--reason", required=True)
            action.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            result, sentence = getattr(self, f"_{options['what']}")(options)
        except (CommandRejected, InvalidMessage, InvalidStreamName, audit.ReasonMissing) as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        self.stdout.write(codec.encode_json(result).decode() if options["json"] else sentence)

    def _request(self, options: Mapping[str, Any]) -> tuple[dict[str, object], str]:
        order_id = options["order"]
        return_id = customer_service.request_return(
            order_id, options["line"], options["charge"], **_by_whom(options)
        )
        result = {"order_id": order_id, "return_id": return_id}
        return result, f"Return {return_id} is requested."

    def _receive(self, options: Mapping[str, Any]) -> tuple[dict[str, object], str]:
        customer_service.receive_return(
            options["return_id"], options["line"], delivery=options["delivery"], **_by_whom(options)
        )
        result = {"return_id": options["return_id"], "received": True}
        return result, "The goods are received; they are restocked and refunded next."

    def _close(self, options: Mapping[str, Any]) -> tuple[dict[str, object], str]:
        customer_service.close_return(options["return_id"], **_by_whom(options))
        result = {"return_id": options["return_id"], "closed": True}
        return result, "The return is closed; nothing is refunded."


def _by_whom(options: Mapping[str, Any]) -> dict[str, str]:
    return {"who": getpass.getuser(), "reason": options["reason"]}


def _add_portions(action: CommandParser, name: str, words: str) -> None:
    action.add_argument(
        name, type=_portion, action="append", default=[], metavar="NUMBER:UNITS", help=words
    )


def _portion(text: str) -> Portion:
    found = FORM.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"expected NUMBER:UNITS, both at least 1, got {text!r}")
    return Portion(int(found["number"]), int(found["quantity"]))
