"""manage.py replay_check [--against VERSION]: whether stored events mean the same to other code."""

import sys
import time
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.management import arguments, progress, reveal
from eventstore.management.command import EscapingCommand
from eventstore.operations import replay
from eventstore.operations.replay import Report, Sample

DIFFERENT, REFUSED = 1, 2


class Command(EscapingCommand):
    help = (
        "Fold the stored events with the code of another version and with this one, and name the"
        " first event that means something else: to an aggregate, a read model or a saga. Writes"
        " nothing. Exit code 0 if all means the same, 1 if not, 2 if it could not be compared."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--against",
            default="HEAD",
            metavar="VERSION",
            help="a commit, branch or tag of git, or a folder with the code (%(default)s)",
        )
        some = parser.add_mutually_exclusive_group()
        some.add_argument(
            "--sample", type=arguments.count, metavar="N", help="about so many streams"
        )
        some.add_argument(
            "--share", type=_share, default=1.0, metavar="F", help="a share of the streams, 0 to 1"
        )
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        version = options["against"]
        sample = Sample(options["share"], options["sample"])
        is_revealed = reveal.is_revealed(options, "replay_check", version)
        show_bar = self.stdout.isatty() and not options["json"]
        began = time.monotonic()
        try:
            with (
                replay.folder_of(version) as folder,
                progress.counting(version, "events", shown=show_bar) as on_progress,
            ):
                report = replay.replay(version, folder, sample, on_progress, masked=not is_revealed)
        except (replay.NoSuchVersion, replay.VersionFailed) as error:
            raise CommandError(str(error), returncode=REFUSED) from error
        seconds = time.monotonic() - began
        if options["json"]:
            fields = {
                "against": version,
                "agrees": report.agrees,
                "until": report.until,
                "events": report.events,
                "changed_events": report.changed_events,
                "changed_states": report.changed_states,
                "first": [each._asdict() for each in report.first.values()],
                "only_old": report.only_old,
                "only_new": report.only_new,
                "seconds": round(seconds, 3),
            }
            self.stdout.write(_json(fields))
        else:
            self.stdout.write("\n".join(_lines(version, report, seconds)))
        if not report.agrees:
            sys.exit(DIFFERENT)


def _lines(version: str, report: Report, seconds: float) -> list[str]:
    rate = report.events / max(seconds, 0.001)
    lines = [f"{report.events} events in {seconds:.1f} s, {rate:,.0f} a second."]
    lines += [f"Not compared, only in {version}: {name}" for name in report.only_old]
    lines += [f"Not compared, only in this version: {name}" for name in report.only_new]
    if report.agrees:
        return [*lines, f"Each event means the same to {version} and to this version."]
    lines.append(
        f"{report.changed_events} events mean something else than to {version};"
        f" {report.changed_states} states differ."
    )
    for change in report.first.values():
        lines.append(
            f"{change.scope} {change.key}: first {change.type} at position {change.position},"
            f" {change.stream} version {change.version}"
        )
        for field, old, new in change.fields:
            lines.append(f"  {field or '(all)'}: {_json(old)} -> {_json(new)}")
        if change.old_error != change.new_error:
            lines.append(f"  {change.old_error or 'folded'} -> {change.new_error or 'folded'}")
    return lines


def _json(value: Any) -> str:
    return codec.encode_json(value).decode()


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = 0.0
    if not 0 < share <= 1:
        raise ArgumentTypeError(f"expected a share above 0 and up to 1, got {text!r}")
    return share
