"""manage.py returns request|receive|close: what staff do about goods that come back, as from their
pages."""

import getpass
import re
from argparse import ArgumentTypeError
from collections.abc import Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec
from eventstore.aggregate import CommandRejected
from eventstore.log import InvalidStreamName, audit
from eventstore.messages import InvalidMessage
from orders import customer_service as support
from orders.events import Portion

FORM = re.compile(r"(?P<number>[1-9][0-9]{0,8}):(?P<quantity>[1-9][0-9]{0,8})", re.ASCII)


class Command(BaseCommand):
    help = "Ask for a return, say that its goods have come, or that nobody waits for them any more."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        request = actions.add_parser(
            "request", help="goods are waited for and paid back; a charge is paid back at once"
        )
        request.add_argument("order", help="its id")
        _add_portions(request, "--line", "so many units of that line of the order come back")
        _add_portions(request, "--charge", "so many units of that charge are paid back")
        receive = actions.add_parser("receive", help="the goods have come")
        _add_portions(
            receive, "--line", "what came of them, when it is not all that is still awaited"
        )
        receive.add_argument(
            "--delivery",
            default="",
            help="the parcel's name, which tells two with the same goods apart",
        )
        close = actions.add_parser("close", help="wait no longer for them")
        for action in (receive, close):
            action.add_argument("return_id", metavar="return", help="its id")
        for action in (request, receive, close):
            action.add_argument("--reason", required=True)
            action.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            told, sentence = getattr(self, f"_{options['what']}")(options)
        except (CommandRejected, InvalidMessage, InvalidStreamName, audit.ReasonMissing) as error:
            raise CommandError(f"{type(error).__name__}: {error}") from error
        self.stdout.write(codec.encode_json(told).decode() if options["json"] else sentence)

    def _request(self, options: Mapping[str, Any]) -> tuple[dict[str, object], str]:
        order_id = options["order"]
        return_id = support.request_return(
            order_id, options["line"], options["charge"], **_by_whom(options)
        )
        return {
            "order_id": order_id,
            "return_id": return_id,
        }, f"It is asked for, as return {return_id}."

    def _receive(self, options: Mapping[str, Any]) -> tuple[dict[str, object], str]:
        support.receive_return(
            options["return_id"], options["line"], delivery=options["delivery"], **_by_whom(options)
        )
        return {
            "return_id": options["return_id"],
            "received": True,
        }, "They have come; stock and money follow."

    def _close(self, options: Mapping[str, Any]) -> tuple[dict[str, object], str]:
        support.close_return(options["return_id"], **_by_whom(options))
        return {
            "return_id": options["return_id"],
            "closed": True,
        }, "It is closed; nothing is paid back."


def _by_whom(options: Mapping[str, Any]) -> dict[str, str]:
    return {"who": getpass.getuser(), "reason": options["reason"]}


def _add_portions(action: CommandParser, name: str, words: str) -> None:
    action.add_argument(
        name, type=_portion, action="append", default=[], metavar="NUMBER:UNITS", help=words
    )


def _portion(text: str) -> Portion:
    found = FORM.fullmatch(text)
    if found is None:
        raise ArgumentTypeError(f"{text!r} is not of the form NUMBER:UNITS, both from 1 on.")
    return Portion(int(found["number"]), int(found["quantity"]))
