"""manage.py rebuild_projection NAME…|--all: rebuild read models beside the live ones."""

import getpass
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import OperationalError

from eventstore import codec
from eventstore.log import audit
from eventstore.management import arguments, progress, reveal
from eventstore.management.command import EscapingCommand
from eventstore.privacy import personal_data
from eventstore.projections import rebuild
from eventstore.projections.rebuild import Rebuilding

REPORT_SECONDS = 5.0
Report = Callable[[Rebuilding], None]

ERRORS = (
    rebuild.NotAProjection,
    rebuild.NotRebuildable,
    rebuild.AlreadyRebuilding,
    rebuild.NotRebuilding,
    rebuild.RebuildFailed,
    rebuild.ShareLost,
    rebuild.Stopped,
    rebuild.NothingKept,
    rebuild.SubscriptionBehind,
    audit.ReasonMissing,
    OperationalError,
)


class Command(EscapingCommand):
    help = (
        "Rebuild read models from the log beside the live ones, then swap the tables in one commit."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", metavar="NAME", help="a projection of the wiring")
        parser.add_argument(
            "--all", action="store_true", help="every projection, one after another"
        )
        parser.add_argument(
            "--processes",
            type=arguments.count,
            default=1,
            help="number of processes that fold (%(default)s)",
        )
        parser.add_argument(
            "--restart",
            action="store_true",
            help="discard an interrupted rebuild and start from the beginning",
        )
        parser.add_argument("--background", action="store_true", help="let the workers rebuild")
        parser.add_argument(
            "--diff",
            action="store_true",
            help="list the differences to the live table; exit code 1 if there are any",
        )
        parser.add_argument(
            "--swap", action="store_true", help="with --diff: swap in spite of differences"
        )
        parser.add_argument("--cancel", action="store_true", help="cancel the open rebuild")
        parser.add_argument(
            "--rollback",
            action="store_true",
            help="restore the table that the last rebuild replaced",
        )
        parser.add_argument(
            "--forget", action="store_true", help="drop the table that the last rebuild replaced"
        )
        parser.add_argument(
            "--status", action="store_true", help="list rebuilds and their progress"
        )
        parser.add_argument("--reason", default="")
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["status"]:
            for found in rebuild.latest():
                if not options["names"] or found.subscription in options["names"]:
                    error = personal_data.of_rebuild(found.error) if found.error else ""
                    each = found._replace(error=error)
                    self._write(options, _fields(each), _sentence(each))
            return
        names = options["names"] or (rebuild.projections() if options["all"] else [])
        if not names:
            raise CommandError(
                f"Name projections, or use --all. Projections: {', '.join(rebuild.projections())}."
            )
        actions = ("background", "diff", "cancel", "rollback", "forget")
        chosen = [action for action in actions if options[action]]
        if len(chosen) > 1:
            raise CommandError(f"Use only one of {', '.join(f'--{option}' for option in chosen)}.")
        act = getattr(self, f"_{chosen[0]}") if chosen else self._rebuild
        errors = []
        try:
            for name in names:
                rebuild.projection(name)
        except rebuild.NotAProjection as error:
            raise CommandError(str(error)) from error
        for name in names:
            try:
                act(name, options)
            except ERRORS as error:
                errors.append(f"{name}: {error}")
            except KeyboardInterrupt:
                raise CommandError(f"{name}: cancelled; the live table is unchanged.") from None
        if errors:
            raise CommandError("\n".join(errors))

    def _rebuild(self, name: str, options: dict[str, Any], *, swap: bool = True) -> None:
        started, latest = time.monotonic(), rebuild.latest(name, limit=1)
        # What an interrupted run has folded does not count for this one.
        continues = latest and latest[0].is_open and not options["restart"]
        folded_before = latest[0].events if continues else 0
        with self._progress(name, options) as report:
            done = rebuild.rebuild(
                name,
                who=getpass.getuser(),
                reason=options["reason"],
                swap=swap,
                restart=options["restart"],
                processes=options["processes"],
                on_checkpoint=report,
            )
        seconds, events = time.monotonic() - started, done.events - folded_before
        rate = events / max(seconds, 0.001)
        sentence = f"{name}: {events} events in {seconds:.1f} s, {rate:.0f} a second; {done.state}."
        self._write(options, _fields(done) | {"wall_seconds": seconds}, sentence)

    def _background(self, name: str, options: dict[str, Any]) -> None:
        found = rebuild.request(name, who=getpass.getuser(), reason=options["reason"])
        self._write(options, _fields(found), f"{name}: the workers will rebuild it.")

    def _diff(self, name: str, options: dict[str, Any]) -> None:
        self._rebuild(name, options, swap=False)
        is_revealed = reveal.is_revealed(options, "rebuild_projection --diff", name)
        model, count = rebuild.projection(name).model, 0
        for each in rebuild.differences(name):
            count += 1
            if not is_revealed:
                old, new = (
                    personal_data.of_column(model, each.column, value)
                    for value in (each.old, each.new)
                )
                each = each._replace(old=old, new=new)
            sentence = (
                f"{each.key} {each.column or '(row)'}: {_json(each.old)} -> {_json(each.new)}"
            )
            self._write(options, {"projection": name, **each._asdict()}, sentence)
        self._write(options, {"differences": count}, f"{name}: {count} differences.")
        if options["swap"]:
            self._rebuild(name, options | {"restart": False})
        if count:
            raise SystemExit(1)

    def _cancel(self, name: str, options: dict[str, Any]) -> None:
        rebuild.cancel(name, who=getpass.getuser(), reason=options["reason"])
        self._write_done(name, options, f"{name}: cancelled; the live table is unchanged.")

    def _rollback(self, name: str, options: dict[str, Any]) -> None:
        position = rebuild.roll_back(name, who=getpass.getuser(), reason=options["reason"])
        sentence = f"{name}: the earlier table is live again; it continues from {position}."
        self._write_done(name, options, sentence)

    def _forget(self, name: str, options: dict[str, Any]) -> None:
        rebuild.forget(name, who=getpass.getuser(), reason=options["reason"])
        self._write_done(name, options, f"{name}: the earlier table is dropped.")

    def _write_done(self, name: str, options: dict[str, Any], sentence: str) -> None:
        self._write(options, {"projection": name, "said": sentence}, sentence)

    def _write(self, options: dict[str, Any], fields: dict[str, Any], sentence: str) -> None:
        self.stdout.write(_json(fields) if options["json"] else sentence)

    @contextmanager
    def _progress(self, name: str, options: dict[str, Any]) -> Iterator[Report]:
        """On a terminal a bar, else a line now and then; with --json nothing."""
        if self.stdout.isatty() and not options["json"]:
            with progress.bar(name, "events") as update:
                yield lambda now: update(completed=now.position, total=now.head, rate=now.rate)
            return
        last = time.monotonic()

        def report(now: Rebuilding) -> None:
            nonlocal last
            if time.monotonic() - last > REPORT_SECONDS and not options["json"]:
                last = time.monotonic()
                self.stdout.write(_sentence(now))

        yield report


def _sentence(now: Rebuilding) -> str:
    left = f", about {now.left:.0f} s left" if now.left else ""
    trouble = f" {now.error}" if now.error else ""
    if now.waits_for and not now.error:
        trouble = f" It waits for {now.waits_for}."
    return (
        f"{now.subscription}: {now.state}, position {now.position} of {now.head},"
        f" {now.rate:.0f} events/s{left}, started by {now.who or 'unknown'} at"
        f" {now.began_at:%Y-%m-%d %H:%M:%S}.{trouble}"
    )


def _fields(now: Rebuilding) -> dict[str, Any]:
    fields = now._asdict() | {"rate": now.rate, "left": now.left}
    del fields["form"]
    return fields


def _json(fields: Any) -> str:
    return codec.encode_json(fields).decode()
