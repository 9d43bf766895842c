"""manage.py reconcile_broker PUBLICATION[@BROKER]: compare what a broker holds with the log."""

import getpass
import sys
import time
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.table import Table

from eventstore import codec
from eventstore.log import LAST_POSITION, audit
from eventstore.management import output, progress
from eventstore.management.command import EscapingCommand
from eventstore.messaging import reconcile
from eventstore.messaging.reconcile import KINDS, Difference, Refilled, Report, Request
from eventstore.messaging.transport import BrokerProblem

DIFFERENT, REFUSED = 1, 2
ERRORS = (
    reconcile.ReconciliationRefused,
    reconcile.LogFailed,
    BrokerProblem,
    audit.ReasonMissing,
)
COLUMNS = ("what", "position", "type", "stream", "at the broker")


class Command(EscapingCommand):
    help = (
        "Read a topic of Kafka or a queue of RabbitMQ back and compare it with the log: what is"
        " missing, repeated, out of order, altered or foreign. Exit code 0 if all agrees, 1 if"
        " there are differences, 2 if nothing could be compared."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "relay",
            metavar="PUBLICATION[@BROKER]",
            help="such as orders.published@kafka; without a broker if there is one only",
        )
        parser.add_argument(
            "--from", type=_position, dest="first", metavar="POSITION", help="of the log, included"
        )
        parser.add_argument(
            "--to", type=_position, dest="last", metavar="POSITION", help="of the log, included"
        )
        parser.add_argument(
            "--queue",
            default="",
            help="of RabbitMQ, in place of the tap; each reading counts as a delivery of it",
        )
        parser.add_argument(
            "--tap",
            action="store_true",
            help="on RabbitMQ: declare the queue that is read back, <relay>.tap, and bind it",
        )
        parser.add_argument(
            "--refill",
            action="store_true",
            help="publish what is missing, under the same ids, while the relay is held; needs"
            " --reason",
        )
        parser.add_argument("--reason", default="", help="for the audit log")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            name = reconcile.relay_named(options["relay"])
            if options["tap"]:
                queue = reconcile.declare_tap(name)
                self.stdout.write(f"{queue} keeps what {name} publishes from now on.")
                return
            if options["refill"]:
                audit.require_reason(options["reason"])
            request = Request(name, options["first"], options["last"], options["queue"])
            show_bar = self.stdout.isatty() and not options["json"]
            began, refilled = time.monotonic(), None
            with (
                progress.counting(name, "messages", shown=show_bar) as on_progress,
                reconcile.reconcile(request, on_progress) as found,
            ):
                report, seconds = found.report, time.monotonic() - began
                if options["refill"]:
                    refilled = reconcile.refill(
                        found, who=getpass.getuser(), reason=options["reason"]
                    )
        except ERRORS as error:
            kind = f"{type(error).__name__}: " if isinstance(error, BrokerProblem) else ""
            raise CommandError(f"{kind}{error}", returncode=REFUSED) from error
        if options["json"]:
            self.stdout.write(codec.encode_json(_fields(report, refilled, seconds)).decode())
        else:
            self._show(report, refilled, seconds)
        mended = refilled.published + refilled.arrived if refilled else 0
        if sum(report.counts.values()) > mended:
            sys.exit(DIFFERENT)

    def _show(self, report: Report, refilled: Refilled | None, seconds: float) -> None:
        self.stdout.write(_summary(report, seconds))
        for hole in report.holes:
            if hole.until is None:
                self.stdout.write(
                    f"{hole.messages} older messages of their keys were removed by {hole.reason}."
                )
            else:
                self.stdout.write(
                    f"partition {hole.partition}: {hole.messages} messages before position"
                    f" {hole.until} are not there by {hole.reason}; manage.py subscriptions reset"
                    " publishes them again."
                )
        counted = {kind: number for kind, number in report.counts.items() if number}
        for kind, number in counted.items():
            self.stdout.write(f"{number} {kind}: {KINDS[kind]}")
        if self.stdout.isatty() and report.examples:
            table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
            for column in COLUMNS:
                table.add_column(column, overflow="fold")
            for each in report.examples:
                table.add_row(*_cells(each))
            Console().print(table)
        else:
            for each in report.examples:
                self.stdout.write("  " + " ".join(filter(None, _cells(each))))
        if refilled is not None:
            arrived = f", {refilled.arrived} had come meanwhile" if refilled.arrived else ""
            refused = "".join(f"\n  {at}: {why}" for at, why in refilled.refused.items())
            self.stdout.write(f"{refilled.published} were published{arrived}.{refused}")


def _summary(report: Report, seconds: float) -> str:
    rate = (report.expected + report.found) / 2 / max(seconds, 0.001)
    beside = [
        f"{number} {what}"
        for number, what in (
            (report.newer, "published since"),
            (report.earlier, "earlier"),
            (report.others, "of others"),
        )
        if number
    ]
    return (
        f"{report.relay}: positions {report.after + 1} to {report.until}: the log gives"
        f" {report.expected} messages, {report.place} has {report.found}"
        f"{' (not compared: ' + ', '.join(beside) + ')' if beside else ''};"
        f" {seconds:.1f} s, {rate:,.0f} messages/s."
        f"{' All agree.' if report.agrees else ''}"
    )


def _cells(each: Difference) -> list[str]:
    where = "" if each.offset is None else f"{each.partition}/{each.offset}"
    position = "" if each.position is None else str(each.position)
    return [each.kind, position, output.in_a_line(each.type), output.in_a_line(each.stream), where]


def _fields(report: Report, refilled: Refilled | None, seconds: float) -> dict[str, Any]:
    return {
        "relay": report.relay,
        "place": report.place,
        "from": report.after + 1,
        "to": report.until,
        "agrees": report.agrees,
        "expected": report.expected,
        "found": report.found,
        "newer": report.newer,
        "earlier": report.earlier,
        "others": report.others,
        "counts": report.counts,
        "examples": [each._asdict() for each in report.examples],
        "holes": [each._asdict() for each in report.holes],
        "refilled": refilled._asdict() if refilled else None,
        "seconds": round(seconds, 3),
    }


def _position(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:20]) <= LAST_POSITION):
        raise ArgumentTypeError(f"expected a position of the log, got {text!r}")
    return int(text)
