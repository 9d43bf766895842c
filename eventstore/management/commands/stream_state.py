"""manage.py stream_state STREAM: an aggregate as it is, or as it was at a version or a time."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from eventstore import codec, finding, registry, store, timetravel


class Command(BaseCommand):
    help = "Show an aggregate's state at a version or a time, and which event set each field."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("stream", help="for example order-0198…")
        parser.add_argument("--version", dest="at_version", type=int, default=store.LAST_VERSION)
        parser.add_argument("--at", type=finding.time, help="as it was recorded then, for example 2026-11-24T08:00:00Z")
        parser.add_argument("--json", action="store_true")

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        # Django's own --version would take ours.
        return super().create_parser(prog_name, subcommand, conflict_handler="resolve", **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        stream = options["stream"]
        if stream.partition("-")[0] not in registry.aggregates():
            known = ", ".join(sorted(registry.aggregates()))
            raise CommandError(f"{stream!r} is no stream of an aggregate; its name begins with one of: {known}.")
        try:
            moment = timetravel.moment(stream, version=options["at_version"], at=options["at"])
        except timetravel.NoSuchStream as error:
            raise CommandError(str(error)) from error
        self.stdout.write(_as_json(moment) if options["json"] else _as_text(moment))


def _as_json(moment: timetravel.Moment) -> str:
    set_by = {name: {"version": m.version, "type": m.type, "id": m.id} for name, m in moment.set_by.items()}
    shown = {"stream": moment.stream, "version": moment.version, "state": moment.state, "set_by": set_by}
    return codec.encode_json(shown).decode()


def _as_text(moment: timetravel.Moment) -> str:
    fields = codec.decode_json(codec.encode_json(moment.state))
    lines = [f"{moment.stream} at version {moment.version}"]
    for name, value in fields.items():
        by = moment.set_by.get(name)
        lines.append(f"  {name} = {value!r}" + (f"   set at version {by.version} by {by.type}" if by else ""))
    return "\n".join(lines)
