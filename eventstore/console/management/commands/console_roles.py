"""manage.py console_roles --view support --operate operations --reveal privacy: permissions of the
console for groups."""

from typing import Any

from django.core.management.base import CommandParser

from eventstore import codec
from eventstore.console import permissions
from eventstore.management.command import EscapingCommand


class Command(EscapingCommand):
    help = "Grant permissions of the console to groups, creating missing groups. Revokes nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        for option, text in (
            ("--view", "see every page"),
            ("--operate", "see every page, and retry, discard, pause and so on"),
            ("--reveal", "see every page, and reveal personal data for a reason"),
        ):
            parser.add_argument(option, nargs="*", default=[], metavar="GROUP", help=text)
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        view, operate, reveal = (options[right] for right in ("view", "operate", "reveal"))
        for group in view:
            permissions.grant(group)
        for group in operate:
            permissions.grant(group, permissions.OPERATE)
        for group in reveal:
            permissions.grant(group, permissions.REVEAL)
        granted = {"view": [*view, *operate, *reveal], "operate": operate, "reveal": reveal}
        lines = [f"{right}: {', '.join(groups) or '–'}" for right, groups in granted.items()]
        output = codec.encode_json(granted).decode() if options["json"] else "\n".join(lines)
        self.stdout.write(output)
