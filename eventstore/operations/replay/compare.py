"""Compare what two versions of the code make of each event, a page of the log at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from django.db import DEFAULT_DB_ALIAS, connections

from eventstore import log, registry
from eventstore.codec import decode_json
from eventstore.postgres import rows
from eventstore.privacy import personal_data
from eventstore.subscriptions import Projection

from .sides import Side
from .versions import root

COUNT_STREAMS = "SELECT count(*) FROM eventstore_event WHERE version = 1 AND position <= %s"
# Of the database, what a version must not read from its own settings.
DATABASE = ("ENGINE", "NAME", "USER", "PASSWORD", "HOST", "PORT")
WHOLE = 1 << 32
# Fields of one event that are listed; keys of states that are counted.
MOST_FIELDS, MOST_KEYS = 20, 100_000
TODAY = "this version"

# done, total: positions of the log.
Progress = Callable[[int, int], None]


class Sample(NamedTuple):
    """How much of the log: a share of its streams, or about so many of them. Streams are chosen by
    a hash of what follows the category in their names."""

    share: float = 1.0
    streams: int | None = None

    def threshold(self, until: int) -> int:
        """Of 32 bits of the hash."""
        if self.streams is None:
            return round(self.share * WHOLE)
        ((number,),) = rows(COUNT_STREAMS, [until])
        return WHOLE if number <= self.streams else round(self.streams / number * WHOLE)


class Change(NamedTuple):
    """The first event of a scope whose meaning differs. scope: such as "aggregate order". key: of
    the state: a stream, the key of a row or of a process. fields: (path, old, new); personal data
    is masked. old, new: "" or the class of the error that the version raises; NOT_FOLDED where the
    version does not fold this event there."""

    scope: str
    key: str
    stream: str
    version: int
    position: int
    type: str
    fields: Sequence[tuple[str, Any, Any]]
    old_error: str = ""
    new_error: str = ""


NOT_FOLDED = "not folded"


@dataclass
class Report:
    """first: scope -> its first change. events, states: how many of them differ; of the states at
    most MOST_KEYS are counted. only_old, only_new: scopes and fields that one version has."""

    until: int
    events: int = 0
    changed_events: int = 0
    changed_states: int = 0
    first: dict[str, Change] = field(default_factory=dict)
    only_old: list[str] = field(default_factory=list)
    only_new: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        return not self.changed_events


def replay(
    version: str, folder: Path, sample: Sample, on_progress: Progress, *, masked: bool = True
) -> Report:
    """version: its name, for people. folder: its code. Raises VersionFailed."""
    until = log.fence()
    report = Report(until)
    with closing(Side(version, folder)) as old, closing(Side(TODAY, root())) as new:
        ours, theirs = (decode_json(side.hear())["scopes"] for side in (new, old))
        report.only_old, report.only_new = _beyond(theirs, ours), _beyond(ours, theirs)
        # The fields that both versions have.
        scopes = {
            scope: [name for name in ours[scope] if name in theirs[scope]]
            for scope in ours
            if scope in theirs
        }
        settings = connections[DEFAULT_DB_ALIAS].settings_dict
        plan = {
            "database": {name: settings[name] for name in DATABASE},
            "after": 0,
            "until": until,
            "threshold": sample.threshold(until),
            "scopes": scopes,
        }
        for side in (old, new):
            side.say(plan)
        comparison = Comparison(report, list(scopes), old, new, masked=masked)
        while (position := comparison.page()) is not None:
            on_progress(position, until)
    return report


def _beyond(these: Mapping[str, Sequence[str]], those: Mapping[str, Sequence[str]]) -> list[str]:
    """Scopes, and fields of scopes, that those do not have."""
    found = []
    for scope, fields in these.items():
        if scope not in those:
            found.append(scope)
        else:
            found += [f"{scope}: {name}" for name in fields if name not in those[scope]]
    return found


class Comparison:
    """scopes: by the number that both programs use."""

    def __init__(
        self, report: Report, scopes: Sequence[str], old: Side, new: Side, *, masked: bool
    ) -> None:
        self.report, self.scopes, self.old, self.new = report, scopes, old, new
        self.masked = masked
        self.keys: set[tuple[int, str]] = set()

    def page(self) -> int | None:
        """Compare one; up to which position of the log. None behind the last one."""
        theirs, ours = self.old.hear(), self.new.hear()
        page = decode_json(ours)
        if page["events"] is None:
            return None
        self.report.events += len(page["events"])
        # Nearly all pages are the same, byte for byte.
        if theirs != ours:
            for number, (before, now) in enumerate(
                zip(decode_json(theirs)["events"], page["events"], strict=True)
            ):
                self._compare(number, before, now)
        for side in (self.old, self.new):
            side.say({})
        return int(page["position"])

    def _compare(self, number: int, before: Sequence[Any], now: Sequence[Any]) -> None:
        """before, now: see worker.Fold.page."""
        theirs = {(scope, key): (at, digest) for at, (scope, key, digest) in enumerate(before[4])}
        ours = {(scope, key): (at, digest) for at, (scope, key, digest) in enumerate(now[4])}
        changed = [
            place
            for place in {**theirs, **ours}
            if theirs.get(place, (0, ""))[1] != ours.get(place, (0, ""))[1]
        ]
        self.report.changed_events += bool(changed)
        for scope, key in changed:
            if len(self.keys) < MOST_KEYS:
                self.keys.add((scope, key))
            self.report.changed_states = len(self.keys)
            if self.scopes[scope] not in self.report.first:
                old = self._shown(self.old, number, theirs.get((scope, key)))
                new = self._shown(self.new, number, ours.get((scope, key)))
                self.report.first[self.scopes[scope]] = self._change(scope, key, now, old, new)

    def _shown(self, side: Side, event: int, item: tuple[int, str] | None) -> dict[str, Any]:
        if item is None:
            return {"after": None, "error": NOT_FOLDED}
        shown: dict[str, Any] = side.show(event, item[0])
        return shown

    def _change(self, number: int, key: str, event: Sequence[Any], old: Any, new: Any) -> Change:
        scope = self.scopes[number]
        position, stream, version, type_, _ = event
        fields: list[tuple[str, Any, Any]] = []
        if NOT_FOLDED not in (old["error"], new["error"]):
            states = old["after"], new["after"]
            shown = [_mask(scope, each) for each in states] if self.masked else states
            fields = list(differing("", *states, *shown))[:MOST_FIELDS]
        return Change(
            scope, key, stream, version, position, type_, fields, old["error"], new["error"]
        )


def differing(
    path: str, old: Any, new: Any, shown_old: Any, shown_new: Any
) -> Iterator[tuple[str, Any, Any]]:
    """The innermost places in which two states differ. shown_old, shown_new: the same states, with
    what may not be shown masked."""
    if old == new:
        return
    pairs, prefix = (old, new, shown_old, shown_new), f"{path}." if path else ""
    if all(isinstance(each, dict) for each in pairs):
        for name in {**old, **new}:
            yield from differing(prefix + name, *(each.get(name) for each in pairs))
    elif all(isinstance(each, list) for each in pairs) and len(old) == len(new):
        for number, each in enumerate(zip_longest(*pairs)):
            yield from differing(f"{path}[{number}]", *each)
    else:
        yield path, shown_old, shown_new


def _mask(scope: str, state: Any) -> Any:
    kind, _, name = scope.rpartition(" ")
    if state is None:
        return None
    if kind == "aggregate":
        return personal_data.of_data(type(registry.aggregates()[name].initial), state)
    if kind == "saga":
        return personal_data.of_saga(name, state)
    model = registry.of_kind(Projection)[name].model
    return personal_data.of_column(model, "", state)
