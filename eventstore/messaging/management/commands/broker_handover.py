"""manage.py broker_handover PUBLICATION relay|cdc --reason WHY: let a publication leave by another
way."""

import getpass
import math
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore.log import audit
from eventstore.management.command import EscapingCommand
from eventstore.messaging.cdc.ways import CDC, RELAY
from eventstore.operations import control, handover


class Command(EscapingCommand):
    help = (
        "Hand a publication to Kafka over from the relay to change data capture (Debezium), or"
        " back, while events are appended: without a hole, with at most known repeats."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("publication", help="such as orders.published")
        parser.add_argument("way", choices=(RELAY, CDC))
        parser.add_argument("--reason", required=True, help="for the audit log")
        parser.add_argument(
            "--repeat",
            action="store_true",
            help="to the relay although the slot is gone: publish again what Debezium may not have"
            " published",
        )
        parser.add_argument(
            "--seconds",
            type=_seconds,
            default=handover.SECONDS,
            help="how long to wait for what is on its way (default: %(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["repeat"] and options["way"] == CDC:
            raise CommandError("--repeat is for a handover to the relay.")
        try:
            done = handover.hand_over(
                options["publication"],
                options["way"],
                who=getpass.getuser(),
                reason=options["reason"],
                repeat=options["repeat"],
                seconds=options["seconds"],
            )
        except (control.NoSuchSubscription, control.OperationRefused, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from None
        repeats = f"; up to {done.may_repeat} events repeat" if done.may_repeat else ""
        self.stdout.write(f"{done.relay} leaves by {done.way} behind {done.position}{repeats}.")


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise ArgumentTypeError(f"expected a positive number of seconds, got {text!r}")
    return seconds
