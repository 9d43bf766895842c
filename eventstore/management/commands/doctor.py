"""manage.py doctor [--json]: what is stuck, why, and the command that mends it."""

import sys
from typing import Any

from django.core.management.base import CommandParser

from eventstore import codec
from eventstore.management.command import EscapingCommand
from eventstore.operations import doctor

FORMAT = """\
{severity} {check}: {what}
  culprit: {culprit}
  why:     {why}
  mend:    {mend}"""


class Command(EscapingCommand):
    help = (
        "Look for everything that is stuck or unsafe. Exit code 0: healthy, 1: warnings, 2:"
        " critical."
    )
    requires_system_checks = ()  # must run even when checks fail

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        found = doctor.examine()
        if options["json"]:
            self.stdout.write(codec.encode_json([each._asdict() for each in found]).decode())
        elif not found:
            self.stdout.write("Healthy: nothing is stuck, nothing is unsafe.")
        else:
            self.stdout.write(
                "\n\n".join(
                    FORMAT.format(**each._replace(severity=each.severity.upper())._asdict())
                    for each in found
                )
            )
        sys.exit(doctor.exit_code(found))
