"""manage.py reconcile_payments [--since TIME]: the log beside the provider's own book, order by
order."""

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from eventstore import codec
from eventstore.log import search
from payments import reconciliation as reconciling
from payments.gateway.factory import gateway
from payments.reconciliation import Difference

# A night that was missed is made up for by the next one.
AS_A_RULE = timedelta(days=2)


class Command(BaseCommand):
    help = (
        "Ask the payment provider what moved for each order of late, and list what the log has"
        " otherwise, or not."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--since", type=search.time, metavar="TIME", help="two days ago if it is not said"
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        since = options["since"] or timezone.now() - AS_A_RULE
        compared = list(reconciling.differences(gateway(), since=since))
        found = [each for each in compared if each is not None]
        lost = list(reconciling.lost(gateway(), since=since))
        for each in lost:
            self.stdout.write(
                codec.encode_json(_told(each) | {"lost": True}).decode()
                if options["json"]
                else reconciling.sentence(each)
            )
        for each in found:
            self.stdout.write(
                codec.encode_json(_told(each)).decode() if options["json"] else _line(each)
            )
        if found:
            raise CommandError(
                f"{len(found)} of {len(compared)} orders are not as the provider has them."
            )
        if lost:
            raise CommandError(
                f"{len(lost)} orders that the provider has charged are not in the log."
            )
        if not options["json"]:
            self.stdout.write(f"{len(compared)} orders are as the provider has them.")


def _told(each: Difference) -> dict[str, Any]:
    theirs = each.theirs._asdict() if each.theirs else None
    return each._asdict() | {"ours": each.ours._asdict(), "theirs": theirs}


def _line(each: Difference) -> str:
    ours = (
        f"{each.order_id}: the log has {each.ours.taken} taken and {each.ours.given_back} given"
        " back"
    )
    if each.theirs is None:
        return f"{ours}, the provider could not be asked: {each.error}"
    return f"{ours}, the provider {each.theirs.taken} and {each.theirs.given_back} {each.currency}"
