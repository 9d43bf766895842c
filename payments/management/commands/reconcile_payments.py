"""manage.py reconcile_payments [--since TIME]: compare the log with the payment provider's book."""

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from eventstore import codec
from eventstore.log import search
from eventstore.management.command import EscapingCommand
from payments import reconciliation
from payments.gateway.factory import gateway
from payments.reconciliation import Difference

# Two days, so that the next nightly run covers one that was missed.
DEFAULT_PERIOD = timedelta(days=2)


class Command(EscapingCommand):
    help = (
        "Compare the money moved for each recent order with the payment provider's book, and list"
        " the differences."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=search.time, metavar="TIME", help="default: two days ago"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        since = options["since"] or timezone.now() - DEFAULT_PERIOD
        compared = list(reconciliation.differences(gateway(), since=since))
        found = [each for each in compared if each is not None]
        lost = list(reconciliation.lost(gateway(), since=since))
        for each in lost:
            as_json = _as_json(each) | {"lost": True}
            self._write(as_json, reconciliation.describe_lost(each), options)
        for each in found:
            self._write(_as_json(each), reconciliation.describe(each), options)
        if found:
            raise CommandError(
                f"{len(found)} of {len(compared)} orders differ from the provider's book."
            )
        if lost:
            raise CommandError(
                f"{len(lost)} orders charged by the provider are missing in the log."
            )
        if not options["json"]:
            self.stdout.write(f"{len(compared)} orders agree with the provider's book.")

    def _write(self, fields: dict[str, Any], sentence: str, options: dict[str, Any]) -> None:
        self.stdout.write(codec.encode_json(fields).decode() if options["json"] else sentence)


def _as_json(each: Difference) -> dict[str, Any]:
    theirs = each.theirs._asdict() if each.theirs else None
    return each._asdict() | {"ours": each.ours._asdict(), "theirs": theirs}
