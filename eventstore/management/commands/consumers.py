"""manage.py consumers [seek NAME TOPIC PARTITION OFFSET --reason WHY]: where consumers read."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore.log import audit
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition
from eventstore.operations import control


class Command(BaseCommand):
    help = "Show up to where each consumer has read each partition of Kafka; or move it elsewhere."

    def add_arguments(self, parser: CommandParser) -> None:
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
        for each in intake.offsets():
            hole = f"; the topic begins with {each.found}: a hole" if each.found is not None else ""
            self.stdout.write(
                f"{each.consumer}  {each.topic}/{each.partition}  next {each.next}{hole}"
            )

    def _seek(self, options: dict[str, Any]) -> None:
        name, partition = options["name"], Partition(options["topic"], options["partition"])
        try:
            control.seek(
                name, partition, options["offset"], who=getpass.getuser(), reason=options["reason"]
            )
        except (control.OperationRefused, control.NoSuchSubscription, audit.ReasonMissing) as error:
            raise CommandError(str(error)) from None
        self.stdout.write(f"{name} continues at {options['offset']}.")
