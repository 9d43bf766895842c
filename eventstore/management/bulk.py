"""What commands of manage.py have in common that send the lines of a file as commands, all or
none."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore.api import bulk
from eventstore.api.errors import Malformed
from eventstore.api.serializers import StrictSerializer
from eventstore.management.command import EscapingCommand
from eventstore.messages import Command

SHOWN = 50


class BulkCommand(EscapingCommand):
    """shape, from_texts, unique: as for bulk.read. make: the command of one line."""

    shape: type[StrictSerializer]
    make: type[Command]
    unique = ""

    @staticmethod
    def from_texts(row: Mapping[str, str]) -> Any:
        return row

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "file", type=Path, metavar="FILE", help="NDJSON (.ndjson, .jsonl) or CSV, in UTF-8"
        )
        parser.add_argument("--dry-run", action="store_true", help="only check the file")

    def handle(self, *args: Any, **options: Any) -> None:
        path = options["file"]
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise CommandError(f"{path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise CommandError(f"{path.name}: byte {error.start} is not valid UTF-8.") from error
        is_json = path.suffix.lower() in (".ndjson", ".jsonl", ".json")
        cls = type(self)
        try:
            values = bulk.read(
                bulk.ndjson(text) if is_json else bulk.table(text),
                cls.shape,
                None if is_json else cls.from_texts,
                cls.unique,
            )
        except Malformed as error:
            raise CommandError("\n".join(_sentences(path.name, error))) from error
        if options["dry_run"]:
            self.stdout.write(f"{len(values):,} lines are valid. Nothing was written.")
            return
        position = bulk.dispatch(cls.make(**each) for each in values)
        self.stdout.write(f"{len(values):,} lines were accepted, up to position {position}.")


def _sentences(name: str, error: Malformed) -> list[str]:
    found = []
    for fault in error.faults[:SHOWN]:
        _, _, line = fault.pointer.partition("/")
        number, _, member = line.partition("/")
        where = f"line {number}" + (f", {member}" if member else "") if number else "the file"
        found.append(f"{name}: {where}: {fault.detail}")
    more = len(error.faults) - SHOWN
    return [*found, *([f"and {more:,} more"] if more > 0 else []), "Nothing was written."]
