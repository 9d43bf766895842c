"""manage.py stream_state STREAM: an aggregate as it is, or as it was at a version or a time."""

from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec, log, registry
from eventstore.log import search
from eventstore.management import reveal as revealing
from eventstore.operations import time_travel
from eventstore.privacy import personal_data


class Command(BaseCommand):
    help = "Show an aggregate's state at a version or a time, and which event set each field."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", help="for example order-0198…")
        parser.add_argument("--version", dest="at_version", type=int, default=log.LAST_VERSION)
        parser.add_argument(
            "--at",
            type=search.time,
            help="as it was recorded then, for example 2026-11-24T08:00:00Z",
        )
        parser.add_argument(
            "--since",
            type=int,
            metavar="VERSION",
            help="what has changed since then, before and after",
        )
        parser.add_argument("--json", action="store_true")
        revealing.add_argument(parser)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version would take ours.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        stream = options["stream"]
        if stream.partition("-")[0] not in registry.aggregates():
            known = ", ".join(sorted(registry.aggregates()))
            raise CommandError(
                f"{stream!r} is no stream of an aggregate; its name begins with one of: {known}."
            )
        try:
            moment = time_travel.moment(stream, version=options["at_version"], at=options["at"])
        except time_travel.NoSuchStream as error:
            raise CommandError(str(error)) from error
        revealed = revealing.is_revealed(
            options, f"stream_state at version {moment.version}", stream
        )
        told = _told(moment, _before(moment, options["since"]), reveal=revealed)
        self.stdout.write(codec.encode_json(told).decode() if options["json"] else _as_text(told))


def _before(moment: time_travel.Moment, since: int | None) -> Any:
    """The state that it is compared with; None where nothing is to be compared."""
    if since is None:
        return None
    aggregate = registry.aggregate_of(moment.stream)
    earlier = log.read_stream(moment.stream, to_version=min(since, moment.version))
    return aggregate.fold(message.body for message in earlier)


def _told(moment: time_travel.Moment, before: Any, *, reveal: bool) -> dict[str, Any]:
    tell = msgspec.to_builtins if reveal else personal_data.of_struct
    set_by = {
        name: {"version": m.version, "type": m.type, "id": m.id}
        for name, m in moment.set_by.items()
    }
    told = {
        "stream": moment.stream,
        "version": moment.version,
        "state": tell(moment.state),
        "set_by": set_by,
    }
    if before is not None:
        old = tell(before)
        changed = time_travel.difference(before, moment.state)
        told["changed"] = {
            name: {"before": old[name], "after": told["state"][name]} for name in changed
        }
    return told


def _as_text(told: dict[str, Any]) -> str:
    lines = [f"{told['stream']} at version {told['version']}"]
    for name, value in told["state"].items():
        by = told["set_by"].get(name)
        lines.append(
            f"  {name} = {value!r}"
            + (f"   set at version {by['version']} by {by['type']}" if by else "")
        )
    for name, change in told.get("changed", {}).items():
        lines.append(f"  {name} was {change['before']!r}")
    return "\n".join(lines)
