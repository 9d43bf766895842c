"""manage.py consumers [--json] [seek NAME TOPIC PARTITION OFFSET --reason WHY]: what consumers have
read, and what is left at the broker."""

import getpass
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec
from eventstore.log import audit
from eventstore.management.command import EscapingCommand
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition
from eventstore.operations import consumers, control
from eventstore.operations.consumers import ConsumerState
from eventstore.postgres import atomic

PARTITION = (
    "is_queue",
    "is_beyond",
    "topic",
    "partition",
    "next",
    "found",
    "broker_end",
    "behind",
    "seconds",
    "seen_at",
)


class Command(EscapingCommand):
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
        seek.add_argument("partition", type=int, nargs="?", help="its number; or --all")
        seek.add_argument("offset", type=int)
        seek.add_argument("--all", action="store_true", help="all partitions of the topic")
        seek.add_argument(
            "--force", action="store_true", help="also behind the end of the partition"
        )
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
        name, topic, offset = options["name"], options["topic"], options["offset"]
        if options["all"] is (options["partition"] is not None):
            raise CommandError("Give the number of a partition, or --all.")
        partitions = [Partition(topic, options["partition"])]
        if options["all"]:
            partitions = intake.partitions_of(name, topic)
            if not partitions:
                raise CommandError(f"{name} has never read a partition of {topic} of Kafka.")
        try:
            with atomic():
                for each in partitions:
                    control.seek(
                        name,
                        each,
                        offset,
                        who=getpass.getuser(),
                        reason=options["reason"],
                        force=options["force"],
                    )
        except (control.OperationRefused, control.NoSuchSubscription, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from None
        for each in partitions:
            self.stdout.write(f"{name} continues in {topic}/{each.partition} at {offset}.")


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
    count = len(consumer["readers"])
    readers = "1 process reads" if count == 1 else f"{count} processes read"
    error = f"; {consumer['error']}" if consumer["error"] else ""
    lines = [
        f"{consumer['consumer']}: {_amount(consumer['behind'])} at {consumer['broker']};"
        f" {consumer['early']} too early; {readers}{error}"
    ]
    for each in consumer["partitions"]:
        topic, amount, found = each["topic"], _amount(each["behind"]), each["found"]
        if each["is_queue"]:
            lines.append(f"  queue {topic}: {amount}")
            continue
        lacking = "" if found is None else f"; the topic begins with {found}"
        hole = ": a hole" if found is not None and found > each["next"] else ""
        if each["is_beyond"]:
            hole += "; the next offset lies beyond the end of the partition"
        lines.append(f"  {topic}/{each['partition']}  next {each['next']}: {amount}{lacking}{hole}")
    return lines


def _amount(behind: int | None) -> str:
    return "unknown how many are not read" if behind is None else f"{behind} not read"
