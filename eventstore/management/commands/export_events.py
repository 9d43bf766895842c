"""manage.py export_events [--term ID] [--type TYPE] [--since TIME] [--until TIME]: events as
NDJSON."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore.log import search
from eventstore.log.search import EventFilter
from eventstore.management import reveal
from eventstore.operations import export


class Command(BaseCommand):
    help = "Write matching events as NDJSON, one event a line, in the order of the log."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--term",
            default="",
            help="id of an event, a correlation or an order, or the name of a stream",
        )
        parser.add_argument("--type", default="", help="a stored name such as orders.order_placed")
        parser.add_argument(
            "--since", type=search.time, metavar="TIME", help="recorded at this time or later"
        )
        parser.add_argument(
            "--until", type=search.time, metavar="TIME", help="recorded before this time"
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        event_filter = EventFilter(*(options[each] for each in ("term", "type", "since", "until")))
        fields = event_filter._asdict().items()
        filters = ", ".join(f"{name} {value}" for name, value in fields if value)
        revealed = reveal.is_revealed(options, f"export_events {filters}".strip(), "events")
        lines = export.lines(event_filter, revealed=revealed)
        if options["output"] is None:
            for line in lines:
                self.stdout.write(line.decode(), ending="")
            return
        # The file gets its name only when it is complete.
        unfinished = options["output"].with_name(f"{options['output'].name}.unfinished")
        with unfinished.open("wb") as file:
            count = sum(1 for line in lines if file.write(line))
        os.replace(unfinished, options["output"])
        self.stdout.write(f"{count} events in {options['output']}.")
