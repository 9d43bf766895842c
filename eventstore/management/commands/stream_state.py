"""manage.py stream_state STREAM: an aggregate now, or as it was at a version or a time."""

from typing import Any

import msgspec
from django.core.management.base import CommandError, CommandParser

from eventstore import codec, log, registry
from eventstore.log import search
from eventstore.management import reveal
from eventstore.management.command import EscapingCommand
from eventstore.operations import time_travel
from eventstore.privacy import personal_data


class Command(EscapingCommand):
    help = "Show an aggregate's state at a version or a time, and which event set each field."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", help="for example order-0198…")
        parser.add_argument("--version", dest="at_version", type=int, default=log.LAST_VERSION)
        parser.add_argument(
            "--at",
            type=search.time,
            help="the state at that time, for example 2026-11-24T08:00:00Z",
        )
        parser.add_argument(
            "--since",
            type=int,
            metavar="VERSION",
            help="also show what has changed since this version",
        )
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Replaces Django's own option --version.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        stream = options["stream"]
        if stream.partition("-")[0] not in registry.aggregates():
            known = ", ".join(sorted(registry.aggregates()))
            raise CommandError(
                f"{stream!r} is not a stream of an aggregate. Names begin with one of: {known}."
            )
        try:
            moment = time_travel.moment(stream, version=options["at_version"], at=options["at"])
        except (time_travel.NoSuchStream, codec.Undecodable) as error:
            raise CommandError(str(error)) from error
        before = None
        if options["since"] is not None:
            version = min(options["since"], moment.version)
            earlier = log.read_stream(stream, to_version=version)
            before = registry.aggregate_of(stream).fold(message.body for message in earlier)
        command = f"stream_state at version {moment.version}"
        is_revealed = reveal.is_revealed(options, command, stream)
        fields = _fields(moment, before, is_revealed=is_revealed)
        if options["json"]:
            self.stdout.write(codec.encode_json(fields).decode())
            return
        self.stdout.write(f"{stream} at version {moment.version}")
        for name, value in fields["state"].items():
            by = fields["set_by"].get(name)
            origin = f"   set at version {by['version']} by {by['type']}" if by else ""
            self.stdout.write(f"  {name} = {value!r}{origin}")
        for name, change in fields.get("changed", {}).items():
            self.stdout.write(f"  {name} was {change['before']!r}")


def _fields(moment: time_travel.Moment, before: Any, *, is_revealed: bool) -> dict[str, Any]:
    as_json = msgspec.to_builtins if is_revealed else personal_data.of_struct
    fields = {
        "stream": moment.stream,
        "version": moment.version,
        "state": as_json(moment.state),
        "set_by": {
            name: {"version": message.version, "type": message.type, "id": message.id}
            for name, message in moment.set_by.items()
        },
    }
    if before is not None:
        old = as_json(before)
        fields["changed"] = {
            name: {"before": old[name], "after": fields["state"][name]}
            for name in time_travel.difference(before, moment.state)
        }
    return fields
