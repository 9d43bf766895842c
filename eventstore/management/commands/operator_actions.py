"""manage.py operator_actions [--who] [--action] [--subject] [--since] [--until]: what people did by
hand, and why."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore import codec
from eventstore.log import audit, search
from eventstore.management import arguments
from eventstore.models import OperatorAction

SHOWN = ("at", "who", "action", "subject", "reason", "details")


class Command(BaseCommand):
    help = "List what was done by hand, the newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        for name in ("who", "action", "subject"):
            parser.add_argument(f"--{name}", help="the whole of it")
        parser.add_argument("--since", type=search.time, metavar="TIME")
        parser.add_argument("--until", type=search.time, metavar="TIME", help="before")
        parser.add_argument("--limit", type=arguments.count, default=100)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        asked = {name: options[name] for name in ("who", "action", "subject") if options[name]}
        found = audit.done_between(
            OperatorAction.objects.filter(**asked), options["since"], options["until"]
        )
        done = list(found.order_by("-id").values(*SHOWN)[: options["limit"]])
        if options["json"]:
            self.stdout.write(codec.encode_json(done).decode())
            return
        for each in done:
            at = f"{each['at']:%Y-%m-%d %H:%M:%S}"
            self.stdout.write(
                f"{at} {each['who']} {each['action']} {each['subject']}:"
                f" {each['reason'] or 'no reason'}"
            )
        if not done:
            self.stdout.write("Nobody has done anything like that by hand.")
