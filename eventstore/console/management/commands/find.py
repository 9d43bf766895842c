"""manage.py find TERM: the console's search over everything."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.http import HttpRequest

from eventstore import codec
from eventstore.console import finding
from eventstore.management import output
from eventstore.management.command import EscapingCommand


class Command(EscapingCommand):
    help = "Find rows of every list by an id, its last characters, an invoice number and so on."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("term", help="as in the search field of the console")
        parser.add_argument("--json", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        hits = finding.everything(HttpRequest(), options["term"])
        found = [
            {"kind": each.kind, "text": row.text, "address": row.address}
            for each in hits
            for row in each.rows
        ]
        if options["json"]:
            self.stdout.write(codec.encode_json(found).decode())
        elif not found:
            raise CommandError(f"Nothing matches {options['term']!r}.")
        else:
            for each in found:
                text = f"{each['kind']}: {each['text']} {each['address']}"
                self.stdout.write(output.in_a_line(text))
