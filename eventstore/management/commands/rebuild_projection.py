"""manage.py rebuild_projection NAME…|--all: fold read models anew, beside the live ones."""

import getpass
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from eventstore import codec
from eventstore.log import audit
from eventstore.management import arguments, reveal
from eventstore.privacy import personal_data
from eventstore.projections import rebuild
from eventstore.projections.rebuild import Difference, Rebuilding

SAY_SECONDS = 5.0
TROUBLES = (
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


class Command(BaseCommand):
    help = (
        "Rebuild read models from the log, beside the live ones; readers see the new rows all at"
        " once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "names", nargs="*", metavar="NAME", help="a projection, as in the wiring"
        )
        parser.add_argument(
            "--all", action="store_true", help="every projection there is, one after another"
        )
        parser.add_argument(
            "--processes",
            type=arguments.count,
            default=1,
            help="fold with so many at once (%(default)s)",
        )
        parser.add_argument(
            "--anew", action="store_true", help="from the beginning, not where one was cut off"
        )
        parser.add_argument("--background", action="store_true", help="leave it to the workers")
        parser.add_argument(
            "--diff",
            action="store_true",
            help="say what differs from the live table; 1 if anything",
        )
        parser.add_argument("--swap", action="store_true", help="with --diff: swap all the same")
        parser.add_argument("--cancel", action="store_true", help="call a running one off")
        parser.add_argument(
            "--rollback", action="store_true", help="back to the table before the last rebuild"
        )
        parser.add_argument(
            "--forget", action="store_true", help="drop the table before the last rebuild"
        )
        parser.add_argument(
            "--status", action="store_true", help="what was rebuilt last, and how far it is"
        )
        parser.add_argument("--reason", default="")
        parser.add_argument("--json", action="store_true")
        reveal.add_argument(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["status"]:
            self._status(options)
            return
        names = options["names"] or (rebuild.projections() if options["all"] else [])
        if not names:
            raise CommandError(
                f"Name projections, or say --all. There are: {', '.join(rebuild.projections())}."
            )
        act = self._action(options)
        troubles = []
        try:
            for name in names:
                rebuild.projection(name)
        except rebuild.NotAProjection as error:
            raise CommandError(str(error)) from error
        for name in names:
            try:
                act(name, options)
            except TROUBLES as error:
                troubles.append(f"{name}: {error}")
            except KeyboardInterrupt:
                raise CommandError(f"{name}: cancelled; the live table is as it was.") from None
        if troubles:
            raise CommandError("\n".join(troubles))

    def _action(self, options: dict[str, Any]) -> Callable[[str, dict[str, Any]], None]:
        chosen = [
            option
            for option in ("background", "diff", "cancel", "rollback", "forget")
            if options[option]
        ]
        if len(chosen) > 1:
            raise CommandError(f"Say one of: {', '.join(f'--{option}' for option in chosen)}.")
        return getattr(self, f"_{chosen[0]}") if chosen else self._rebuild

    def _rebuild(self, name: str, options: dict[str, Any], *, swap: bool = True) -> None:
        started, folded_before = time.monotonic(), _folded(name, options)
        with (
            _bar(name)
            if self.stdout.isatty() and not options["json"]
            else self._lines(name, options)
        ) as tell:
            done = rebuild.rebuild(
                name,
                who=getpass.getuser(),
                reason=options["reason"],
                swap=swap,
                anew=options["anew"],
                processes=options["processes"],
                tell=tell,
            )
        seconds, events = time.monotonic() - started, done.events - folded_before
        if options["json"]:
            self._say(_shown(done) | {"wall_seconds": seconds})
        else:
            what = (
                f"{events} events in {seconds:.1f} s, {events / max(seconds, 0.001):.0f} a second"
            )
            self.stdout.write(f"{name}: {what}; {done.state}.")

    def _background(self, name: str, options: dict[str, Any]) -> None:
        found = rebuild.request(name, who=getpass.getuser(), reason=options["reason"])
        (
            self._say(_shown(found))
            if options["json"]
            else self.stdout.write(f"{name}: the workers will rebuild it.")
        )

    def _diff(self, name: str, options: dict[str, Any]) -> None:
        self._rebuild(name, options, swap=False)
        count = 0
        revealed = reveal.is_revealed(options, "rebuild_projection --diff", name)
        for found in rebuild.differences(name):
            count += 1
            each = found if revealed else _masked(name, found)
            if options["json"]:
                self._say({"projection": name, **each._asdict()})
            else:
                self.stdout.write(
                    f"{each.key} {each.column or '(row)'}: {_json(each.old)} -> {_json(each.new)}"
                )
        self.stdout.write(
            f"{name}: {count} differences."
            if not options["json"]
            else _json({"differences": count})
        )
        if options["swap"]:
            self._rebuild(name, options | {"anew": False})
        if count:
            raise SystemExit(1)

    def _cancel(self, name: str, options: dict[str, Any]) -> None:
        rebuild.cancel(name, who=getpass.getuser(), reason=options["reason"])
        self._done(name, options, f"{name}: cancelled; the live table is as it was.")

    def _rollback(self, name: str, options: dict[str, Any]) -> None:
        position = rebuild.roll_back(name, who=getpass.getuser(), reason=options["reason"])
        said = (
            f"{name}: the table before the last rebuild is live; it is folded on from {position}."
        )
        self._done(name, options, said)

    def _forget(self, name: str, options: dict[str, Any]) -> None:
        rebuild.forget(name, who=getpass.getuser(), reason=options["reason"])
        self._done(name, options, f"{name}: the table before the last rebuild is dropped.")

    def _done(self, name: str, options: dict[str, Any], said: str) -> None:
        (
            self._say({"projection": name, "said": said})
            if options["json"]
            else self.stdout.write(said)
        )

    def _status(self, options: dict[str, Any]) -> None:
        for found in rebuild.latest():
            each = (
                found._replace(error=personal_data.of_rebuild(found.error))
                if found.error
                else found
            )
            if options["names"] and each.subscription not in options["names"]:
                continue
            if options["json"]:
                self._say(_shown(each))
            else:
                self.stdout.write(_sentence(each))

    @contextmanager
    def _lines(self, name: str, options: dict[str, Any]) -> Iterator[Callable[[Rebuilding], None]]:
        said = time.monotonic()

        def tell(now: Rebuilding) -> None:
            nonlocal said
            if time.monotonic() - said > SAY_SECONDS and not options["json"]:
                said = time.monotonic()
                self.stdout.write(_sentence(now))

        yield tell

    def _say(self, shown: dict[str, Any]) -> None:
        self.stdout.write(_json(shown))


@contextmanager
def _bar(name: str) -> Iterator[Callable[[Rebuilding], None]]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %  {task.fields[rate]:,.0f} events/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(), transient=True) as bar:
        task = bar.add_task(name, total=None, rate=0.0)
        yield lambda now: bar.update(task, completed=now.position, total=now.head, rate=now.rate)


def _folded(name: str, options: dict[str, Any]) -> int:
    """What an earlier run did is not this one's."""
    latest = rebuild.latest(name, limit=1)
    return latest[0].events if latest and latest[0].is_open and not options["anew"] else 0


def _sentence(now: Rebuilding) -> str:
    left = f", about {now.left:.0f} s left" if now.left else ""
    trouble = (
        f" {now.error}" if now.error else f" It waits for {now.waits_for}." if now.waits_for else ""
    )
    return (
        f"{now.subscription}: {now.state}, position {now.position} of {now.head}, {now.rate:.0f}"
        f" events/s{left}, begun by {now.who or 'nobody'} at"
        f" {now.began_at:%Y-%m-%d %H:%M:%S}.{trouble}"
    )


def _shown(now: Rebuilding) -> dict[str, Any]:
    shown = now._asdict() | {"rate": now.rate, "left": now.left}
    del shown["form"]
    return shown


def _json(shown: Any) -> str:
    return codec.encode_json(shown).decode()


def _masked(name: str, found: Difference) -> Difference:
    model = rebuild.projection(name).model
    old, new = (
        personal_data.of_column(model, found.column, value) for value in (found.old, found.new)
    )
    return found._replace(old=old, new=new)
