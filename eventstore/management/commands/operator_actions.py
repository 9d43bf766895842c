"""manage.py operator_actions [--who] [--action] [--subject] [--since] [--until]: the audit log."""

from typing import Any

from django.core.management.base import CommandParser

from eventstore import codec
from eventstore.log import audit, search
from eventstore.management import arguments, output
from eventstore.management.command import EscapingCommand
from eventstore.models import OperatorAction

COLUMNS = ("at", "who", "action", "subject", "reason", "details")


class Command(EscapingCommand):
    help = "List the actions of operators, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        for name in ("who", "action", "subject"):
            parser.add_argument(f"--{name}", help="exact match")
        parser.add_argument("--since", type=search.time, metavar="TIME")
        parser.add_argument("--until", type=search.time, metavar="TIME", help="before this time")
        parser.add_argument("--limit", type=arguments.count, default=100)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        filters = {name: options[name] for name in ("who", "action", "subject") if options[name]}
        matching = OperatorAction.objects.filter(**filters)
        found = audit.done_between(matching, options["since"], options["until"])
        actions = list(found.order_by("-id").values(*COLUMNS)[: options["limit"]])
        if options["json"]:
            self.stdout.write(codec.encode_json(actions).decode())
            return
        for each in actions:
            at = f"{each['at']:%Y-%m-%d %H:%M:%S}"
            what = f"{each['who']} {each['action']} {each['subject']}"
            line = output.in_a_line(f"{what}: {each['reason'] or 'no reason'}")
            self.stdout.write(f"{at} {line}")
        if not actions:
            self.stdout.write("No matching operator actions.")
