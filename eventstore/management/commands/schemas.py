"""manage.py schemas --write|--check|--store|--register: the published schemas of event types."""

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from eventstore import codec, postgres, registry
from eventstore.management import arguments
from eventstore.management.command import EscapingCommand
from eventstore.operations import time_travel

STREAMS_FOLDED = 20

STORED_VERSIONS = """
    SELECT type, schema_version, count(*)
    FROM eventstore_event
    GROUP BY type, schema_version
    ORDER BY type, schema_version
"""
# The comparison of pairs makes the planner use the index on (type, position).
SAMPLE = """
    SELECT position, stream, data::text
    FROM eventstore_event
    WHERE (type, position) > (%s, 0) AND type <= %s AND (schema_version = %s) IS TRUE
    ORDER BY type, position
    LIMIT %s
"""


class Command(EscapingCommand):
    help = (
        "Write missing schema files, check them against the classes, check the classes against the"
        " stored events, or put the schemas of integration events into the schema registry."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--write", action="store_true", help="write missing schema files")
        check = "compare classes, released schemas and declared modes"
        what.add_argument("--check", action="store_true", help=check)
        store = "decode and fold stored events with the present code"
        what.add_argument("--store", action="store_true", help=store)
        register = "register the schemas of integration events, where they are not yet registered"
        what.add_argument("--register", action="store_true", help=register)
        parser.add_argument(
            "--sample",
            type=arguments.count,
            default=1000,
            help="with --store: how many events of each type and version (%(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            from eventstore.schemas import files
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("avro"):
                raise
            raise CommandError(
                'The package avro is not installed: install the extra "schemas" of eventstore.'
            ) from None
        if options["register"]:
            from eventstore.schemas.registry import published  # its libraries are an extra

            done, problems = "All schemas are registered.", []
            for each in published.register_all():
                if each.problem:
                    problems.append(f"{each.subject}: {each.problem}")
                else:
                    self.stdout.write(f"{each.subject} version {each.version}: schema {each.id}")
        else:
            done = "All schemas match their classes and keep their declared modes."
            if options["write"]:
                for path in files.write():
                    self.stdout.write(f"wrote {path}")
            in_store = self._in_store(options["sample"]) if options["store"] else None
            problems = list(in_store or files.problems())
        if problems:
            raise CommandError("\n".join(problems))
        self.stdout.write(done)

    def _in_store(self, sample: int) -> Iterator[str]:
        for type_, version, count in postgres.rows(STORED_VERSIONS):
            self.stdout.write(f"{type_} v{version}: {count} events")
            found = postgres.rows(SAMPLE, [type_, type_, version, sample])
            # The first problem of a kind is enough to act on.
            for position, _, data in found:
                try:
                    registry.decode(type_, version, data)
                except (registry.UnknownType, codec.Undecodable) as error:
                    yield f"{type_} v{version} at position {position}: {error}"
                    break
            for _, stream, _ in found[:STREAMS_FOLDED]:
                last = position = 0
                try:
                    for change in time_travel.changes(stream):
                        last, position = change.message.version, change.message.position
                except Exception as error:  # noqa: BLE001  any error of the present code is a finding
                    yield (
                        f"{stream} cannot be folded after version {last} at position {position}:"
                        f" {error!r}"
                    )
                    break
