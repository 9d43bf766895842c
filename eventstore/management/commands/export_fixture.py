"""manage.py export_fixture STREAM [--version N]: the events of a stream as a pytest fixture."""

from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec, log, registry
from eventstore.management import reveal
from eventstore.operations import export


class Command(BaseCommand):
    help = "Write a pytest fixture in Python: the stream's aggregate with its events."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", help="for example order-0198…")
        parser.add_argument(
            "--version",
            dest="at_version",
            type=int,
            help="the last version to include; default: all",
        )
        parser.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
        reveal.add_argument(parser)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Replaces Django's own option --version.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        stream = options["stream"]
        version = options["at_version"] or next(
            (each.version for each in log.read_backwards(stream)), 0
        )
        revealed = reveal.is_revealed(options, f"export_fixture at version {version}", stream)
        try:
            source = export.fixture(stream, version, revealed=revealed)
        except (export.NotExportable, registry.UnknownType, codec.Undecodable) as error:
            raise CommandError(str(error)) from error
        if options["output"] is None:
            self.stdout.write(source, ending="")
            return
        options["output"].write_text(source)
        self.stdout.write(f"{export.name(stream)} in {options['output']}.")
