"""manage.py dead_letters list|show|retry|discard: messages that a handler failed to process."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.log import audit
from eventstore.management import output, reveal
from eventstore.management.command import EscapingCommand
from eventstore.messages import BrokerMessage
from eventstore.operations import broker_messages, control, dead_letters
from eventstore.operations.dead_letters import Letter
from eventstore.privacy import personal_data
from eventstore.privacy.personal_data import Trouble


class Command(EscapingCommand):
    help = "List, show, retry or discard parked messages."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="what", required=True)
        for what, description in (
            ("list", "list parked messages"),
            ("show", "show one with its message and traceback"),
            ("retry", "retry now, with today's code"),
            ("discard", "delete for good"),
        ):
            action = actions.add_parser(what, help=description)
            action.add_argument("subscription", nargs="?" if what == "list" else None)
            if what != "list":
                action.add_argument(
                    "positions", nargs="*", type=int, default=[], help="default: all that match"
                )
            action.add_argument(
                "--key", help="only messages of this key, such as an order or a stream"
            )
            action.add_argument("--status", choices=dead_letters.SHOWN, action="append")
            action.add_argument("--json", action="store_true")
            if what == "show":
                reveal.add_argument(action)
            if what in ("retry", "discard"):
                action.add_argument("--reason", default="", required=what == "discard")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['what']}")(options)
        except (control.NoSuchSubscription, dead_letters.NotParked, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from error

    def _list(self, options: dict[str, Any]) -> None:
        found = _masked(_matching(options))
        if options["json"]:
            self.stdout.write(codec.encode_json([letter._asdict() for letter in found]).decode())
            return
        for letter in found:
            self.stdout.write(
                f"{letter.subscription} {letter.position} {letter.key} {letter.status} "
                f"attempts={letter.attempts} {output.in_a_line(letter.error)}"
            )
        if not found:
            self.stdout.write("No parked messages.")

    def _show(self, options: dict[str, Any]) -> None:
        found = _matching_or_error(options)
        revealed = reveal.is_revealed(options, "dead_letters show", options["subscription"])
        for letter in found if revealed else _masked(found):
            message = dead_letters.message_of(letter)
            fields = letter._asdict() | {
                "type": message.type,
                "stream": message.stream,
                "message": _body(letter.subscription, message.body, revealed=revealed),
            }
            if options["json"]:
                self.stdout.write(codec.encode_json(fields).decode())
                continue
            for name, value in fields.items():
                self.stdout.write(f"{name}: {value}")

    def _retry(self, options: dict[str, Any]) -> None:
        count = dead_letters.retry(
            options["subscription"],
            _positions(options),
            who=getpass.getuser(),
            reason=options["reason"],
        )
        self._write_count(
            options, count, f"{count} will be retried; messages behind them follow in order."
        )

    def _discard(self, options: dict[str, Any]) -> None:
        count = dead_letters.discard(
            options["subscription"],
            _positions(options),
            who=getpass.getuser(),
            reason=options["reason"],
        )
        self._write_count(options, count, f"{count} discarded.")

    def _write_count(self, options: dict[str, Any], count: int, sentence: str) -> None:
        fields = {"subscription": options["subscription"], "count": count}
        self.stdout.write(codec.encode_json(fields).decode() if options["json"] else sentence)


def _positions(options: dict[str, Any]) -> list[int]:
    return options["positions"] or [letter.position for letter in _matching_or_error(options)]


def _matching_or_error(options: dict[str, Any]) -> list[Letter]:
    if not (found := _matching(options)):
        raise CommandError("No matching parked messages.")
    return found


def _matching(options: dict[str, Any]) -> list[Letter]:
    found = dead_letters.letters(
        subscription=options["subscription"],
        key=options["key"],
        statuses=options["status"] or dead_letters.SHOWN,
        limit=1000 if options["what"] == "list" else None,
    )
    if not found and options["subscription"]:
        control.find(options["subscription"])  # raises if the name is misspelt
    positions = options.get("positions")
    return [letter for letter in found if not positions or letter.position in positions]


def _masked(found: list[Letter]) -> list[Letter]:
    troubles = personal_data.of_troubles(
        [Trouble(each.position, each.error, each.traceback) for each in found]
    )
    return [
        letter._replace(error=trouble.error, traceback=trouble.traceback)
        for letter, trouble in zip(found, troubles, strict=True)
    ]


def _body(subscription: str, body: Any, *, revealed: bool) -> Any:
    if isinstance(body, BrokerMessage):
        return broker_messages.readable(subscription, body, revealed=revealed)
    if isinstance(body, Exception):
        return f"{type(body).__name__}: {body if revealed else personal_data.HIDDEN}"
    return codec.decode_json(codec.encode_json(body)) if revealed else personal_data.of_struct(body)
