"""manage.py console_roles --view support --operate operations --reveal privacy: who may what in the
console."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore import codec
from eventstore.console import permissions


class Command(BaseCommand):
    help = (
        "Give groups their rights in the console, making them if need be. Nothing is taken from"
        " any."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--view", nargs="*", default=[], metavar="GROUP", help="see every page")
        parser.add_argument(
            "--operate",
            nargs="*",
            default=[],
            metavar="GROUP",
            help="see, and retry, discard, pause …",
        )
        parser.add_argument(
            "--reveal",
            nargs="*",
            default=[],
            metavar="GROUP",
            help="see, and say why personal data is to be seen",
        )
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        view, operate, reveal = (options[right] for right in ("view", "operate", "reveal"))
        for group in view:
            permissions.grant(group)
        for group in operate:
            permissions.grant(group, permissions.OPERATE)
        for group in reveal:
            permissions.grant(group, permissions.REVEAL)
        given = {"view": [*view, *operate, *reveal], "operate": operate, "reveal": reveal}
        self.stdout.write(
            codec.encode_json(given).decode()
            if options["json"]
            else "\n".join(
                f"{right}: {', '.join(groups) or 'nobody new'}" for right, groups in given.items()
            )
        )
