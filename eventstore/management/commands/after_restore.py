"""manage.py after_restore --reason WHY [--since TIME]: what a restored log lacks, and others have
done for it."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec
from eventstore.log import audit, search
from eventstore.operations import restore


class Command(BaseCommand):
    help = (
        "After a restore or a failover: begin another epoch of the log, and list what it does not"
        " know of."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="kept with what is done")
        parser.add_argument(
            "--since",
            type=search.time,
            metavar="TIME",
            help="of what the providers did; by itself, from where it is whole",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = restore.restored(
                who=getpass.getuser(), reason=options["reason"], since=options["since"]
            )
        except audit.ReasonMissing as error:
            raise CommandError(str(error)) from None
        if options["json"]:
            self.stdout.write(
                codec.encode_json(
                    {"epoch": report.epoch.number, "done": report.done, "open": report.open}
                ).decode()
            )
        else:
            for sentence in (*report.done, *report.open):
                self.stdout.write(sentence)
        if report.open:
            raise CommandError(f"{len(report.open)} things wait for a person.")
