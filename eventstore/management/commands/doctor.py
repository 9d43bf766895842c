"""manage.py doctor [--json] [--selftest]: what is stuck, why, who is to blame, and the command that
mends it."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore import codec
from eventstore.operations import doctor
from eventstore.operations.doctor import Finding, selftest


class Command(BaseCommand):
    help = (
        "Look for everything that is stuck or unsafe. Exit code 0: healthy, 1: warnings, 2:"
        " critical."
    )
    requires_system_checks = ()  # the sick are let in

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        parser.add_argument(
            "--selftest",
            action="store_true",
            help="bring each fault about, in a database of its own, and look for it",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["selftest"]:
            self._selftest(as_json=options["json"])
            return
        found = doctor.examine()
        if options["json"]:
            self.stdout.write(codec.encode_json([each._asdict() for each in found]).decode())
        else:
            self.stdout.write(
                "\n\n".join(map(_shown, found)) or "Healthy: nothing is stuck, nothing is unsafe."
            )
        sys.exit(doctor.exit_code(found))

    def _selftest(self, *, as_json: bool) -> None:
        trials = []
        for trial in selftest.run():
            trials.append(trial)
            if not as_json:
                self.stdout.write(_told(trial))
        counts = {
            "faults": len(trials) - 1,
            "found": sum(trial.was_found for trial in trials if trial.fault),
            "false_alarms": sum(len(trial.false_alarms) for trial in trials),
        }
        self.stdout.write(codec.encode_json(counts).decode())
        sys.exit(0 if counts["found"] == counts["faults"] and not counts["false_alarms"] else 1)


def _shown(each: Finding) -> str:
    return (
        f"{each.severity.upper()} {each.check}: {each.what}\n"
        f"  culprit: {each.culprit}\n  why:     {each.why}\n  mend:    {each.mend}"
    )


def _told(trial: selftest.Trial) -> str:
    alarms = "; ".join(f"{each.check}: {each.what}" for each in trial.false_alarms)
    what = "found" if trial.was_found else "MISSED" if trial.fault else "healthy"
    return f"{trial.fault or '(no fault)'}: {what}{f', FALSE ALARMS: {alarms}' if alarms else ''}"
