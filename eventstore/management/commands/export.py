"""manage.py export events|fixture: events as NDJSON; the events of a stream as a pytest fixture."""

import os
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec, log, registry
from eventstore.log import search
from eventstore.log.search import EventFilter
from eventstore.management import reveal
from eventstore.management.command import EscapingCommand
from eventstore.operations import export


class Command(EscapingCommand):
    help = "Write events of the log: as NDJSON, or one stream's as a pytest fixture in Python."

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        events = what.add_parser("events", help="as NDJSON, one a line, in the order of the log")
        term = "id of an event, a correlation or an order, or the name of a stream"
        events.add_argument("--term", default="", help=term)
        events.add_argument("--type", default="", help="a stored name such as orders.order_placed")
        for name, end in (("--since", "at this time or later"), ("--until", "before this time")):
            events.add_argument(name, type=search.time, metavar="TIME", help=f"recorded {end}")
        fixture = what.add_parser("fixture", help="a stream's aggregate with its events")
        fixture.add_argument("stream", help="for example order-0198…")
        fixture.add_argument(
            "--version", dest="at_version", type=int, help="the last; default: all"
        )
        for each in (events, fixture):
            each.add_argument(
                "--output", type=Path, metavar="FILE", help="default: standard output"
            )
            reveal.add_argument(each)

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['what']}")(options)

    def _events(self, options: dict[str, Any]) -> None:
        event_filter = EventFilter(*(options[each] for each in ("term", "type", "since", "until")))
        fields = event_filter._asdict().items()
        filters = ", ".join(f"{name} {value}" for name, value in fields if value)
        revealed = reveal.is_revealed(options, f"export events {filters}".strip(), "events")
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

    def _fixture(self, options: dict[str, Any]) -> None:
        stream, newest = options["stream"], log.read_backwards(options["stream"])
        version = options["at_version"] or next((each.version for each in newest), 0)
        revealed = reveal.is_revealed(options, f"export fixture at version {version}", stream)
        try:
            source = export.fixture(stream, version, revealed=revealed)
        except (export.NotExportable, registry.UnknownType, codec.Undecodable) as error:
            raise CommandError(str(error)) from error
        if options["output"] is None:
            self.stdout.write(source, ending="")
            return
        options["output"].write_text(source)
        self.stdout.write(f"{export.name(stream)} in {options['output']}.")
