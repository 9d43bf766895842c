"""manage.py consumers [--json] [seek NAME TOPIC PARTITION OFFSET --reason WHY]: what consumers have
read, and what is left at the broker."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec
from eventstore.log import audit
from eventstore.messaging.consumers.intake import Partition
from eventstore.operations import consumers, control
from eventstore.operations.consumers import ConsumerState

PARTITION = (
    "is_queue",
    "topic",
    "partition",
    "next",
    "found",
    "broker_end",
    "behind",
    "seconds",
    "seen_at",
)


class Command(BaseCommand):
    help = (
        "Show what each consumer has read, and how much it has not, as its readers last saw it; or"
        " let one continue at another offset."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true")
        actions = parser.add_subparsers(dest="action")
        seek = actions.add_parser(
            "seek",
            help="continue at another offset: behind a hole that retention has left, or before"
            " messages that are to be read again (known ids have no effect)",
        )
        seek.add_argument("name")
        seek.add_argument("topic")
        seek.add_argument("partition", type=int)
        seek.add_argument("offset", type=int)
        seek.add_argument("--reason", required=True, help="for the audit log")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "seek":
            self._seek(options)
            return
        found = [_figures(each) for each in consumers.states()]
        if options["json"]:
            self.stdout.write(codec.encode_json(found).decode())
            return
        for each in found:
            self.stdout.write("\n".join(_lines(each)))
        if not found:
            self.stdout.write("The wiring has no consumer.")

    def _seek(self, options: dict[str, Any]) -> None:
        name, partition = options["name"], Partition(options["topic"], options["partition"])
        try:
            control.seek(
                name, partition, options["offset"], who=getpass.getuser(), reason=options["reason"]
            )
        except (control.OperationRefused, control.NoSuchSubscription, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{name} continues at {options['offset']}.")


def _figures(state: ConsumerState) -> dict[str, Any]:
    return {
        "consumer": state.name,
        "broker": state.broker,
        "behind": state.behind,
        "early": state.early,
        "error": state.error,
        "readers": [each._asdict() for each in state.readers],
        "partitions": [
            {name: getattr(each, name) for name in PARTITION} for each in state.partitions
        ],
    }


def _lines(consumer: dict[str, Any]) -> list[str]:
    error = f"; {consumer['error']}" if consumer["error"] else ""
    lines = [
        f"{consumer['consumer']}: {_amount(consumer['behind'])} at {consumer['broker']};"
        f" {consumer['early']} too early; {len(consumer['readers'])} processes read{error}"
    ]
    for each in consumer["partitions"]:
        topic, amount, found = each["topic"], _amount(each["behind"]), each["found"]
        if each["is_queue"]:
            lines.append(f"  queue {topic}: {amount}")
            continue
        lacking = "" if found is None else f"; the topic begins with {found}"
        hole = ": a hole" if found is not None and found > each["next"] else ""
        lines.append(f"  {topic}/{each['partition']}  next {each['next']}: {amount}{lacking}{hole}")
    return lines


def _amount(behind: int | None) -> str:
    return "lag not known" if behind is None else f"{behind} not read"
