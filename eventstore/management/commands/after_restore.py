"""manage.py after_restore --reason WHY [--since TIME]: find what a restored log lacks."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.log import audit, search
from eventstore.management.command import EscapingCommand
from eventstore.operations import restore


class Command(EscapingCommand):
    help = "After a restore or a failover: begin another epoch and list what the log lacks."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--reason", required=True, help="stored in the audit log")
        parser.add_argument(
            "--since",
            type=search.time,
            metavar="TIME",
            help="ask providers from this time on; default: where the log is no longer intact",
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
            found = {"epoch": report.epoch.number, "done": report.done, "open": report.open}
            self.stdout.write(codec.encode_json(found).decode())
        else:
            for sentence in (*report.done, *report.open):
                self.stdout.write(sentence)
        if report.open:
            raise CommandError(f"{len(report.open)} things need an operator.")
