"""manage.py console_roles --view support --operate operations: which groups see the console, and which act in it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore.admin import rights


class Command(BaseCommand):
    help = "Give groups their rights in the console, making them if need be. Nothing is taken from any."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--view", nargs="*", default=[], metavar="GROUP", help="see every page")
        parser.add_argument(
            "--operate", nargs="*", default=[], metavar="GROUP", help="see, and retry, discard, pause …"
        )

    def handle(self, *args: Any, view: list[str], operate: list[str], **options: Any) -> None:
        for group in view:
            rights.grant(group)
        for group in operate:
            rights.grant(group, operate=True)
        self.stdout.write(
            f"See: {', '.join(view + operate) or 'nobody new'}. Act: {', '.join(operate) or 'nobody new'}."
        )
