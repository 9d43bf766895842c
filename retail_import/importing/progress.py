"""Show the progress of an import: a bar on a terminal, otherwise a line every few seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from .issuing import IssueProgress
from .survey import Survey

GAP_SECONDS = 5.0

# (what is issued, orders or returns still open once all is issued)
Show = Callable[[IssueProgress, int], None]


@contextmanager
def shown(console: Console, survey: Survey) -> Iterator[Show]:
    with _bar(console, survey) if console.is_terminal else _lines(console, survey) as show:
        yield show


@contextmanager
def _bar(console: Console, survey: Survey) -> Iterator[Show]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    rate = Rate()
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=survey.lines)
        yield lambda issued, open_: bar.update(
            task,
            completed=issued.lines,
            description=_sentence(survey, issued, open_, rate.of(issued)),
        )


@contextmanager
def _lines(console: Console, survey: Survey) -> Iterator[Show]:
    rate, printed_at = Rate(), time.monotonic()

    def show(issued: IssueProgress, open_: int) -> None:
        nonlocal printed_at
        speed = rate.of(issued)
        if time.monotonic() - printed_at < GAP_SECONDS:
            return
        printed_at = time.monotonic()
        left = rate.seconds_left(survey.lines)
        console.print(
            _sentence(survey, issued, open_, speed) + (f", {left:.0f} s left" if left else "")
        )

    yield show


class Rate:
    """Orders per second since this run began, without the documents of earlier runs."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._first: IssueProgress | None = None
        self._last = IssueProgress()

    def of(self, issued: IssueProgress) -> float:
        self._first = self._first or issued
        self._last = issued
        return (issued.orders - self._first.orders) / self._seconds()

    def seconds_left(self, lines: int) -> float:
        done = self._last.lines - (self._first or self._last).lines
        return (lines - self._last.lines) * self._seconds() / done if done else 0.0

    def _seconds(self) -> float:
        return max(time.monotonic() - self._began, 0.001)


def _sentence(survey: Survey, issued: IssueProgress, open_: int, speed: float) -> str:
    if open_:
        return f"all issued, {open_:,} orders or returns open"
    return (
        f"{issued.orders:,} of {len(survey.invoices):,} orders, {issued.lines:,} lines, {speed:.0f}"
        " orders/s"
    )
