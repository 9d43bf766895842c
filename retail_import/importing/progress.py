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
)

from .issuing import IssueProgress
from .planning import Plan

GAP_SECONDS = 5.0

# (what is issued, orders or returns still open once all is issued)
Show = Callable[[IssueProgress, int], None]
# Is called with the number of open orders or returns.
ShowOpen = Callable[[int], None]


@contextmanager
def shown(console: Console, plan: Plan) -> Iterator[Show]:
    rate, printed_at, survey = Rate(), time.monotonic(), plan.survey

    def print_now_and_then(issued: IssueProgress, open_: int) -> None:
        nonlocal printed_at
        speed = rate.of(issued)
        if time.monotonic() - printed_at < GAP_SECONDS:
            return
        printed_at = time.monotonic()
        left = "" if open_ else rate.time_left(survey.new_lines)
        console.print(_sentence(plan, issued, open_, speed) + left)

    if not console.is_terminal:
        yield print_now_and_then
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=survey.new_lines or None, left="")
        yield lambda issued, open_: bar.update(
            task,
            completed=issued.lines,
            description=_sentence(plan, issued, open_, rate.of(issued)),
            left="" if open_ else rate.time_left(survey.new_lines),
        )


class Rate:
    """Orders per second of this run; what earlier runs imported is not part of its plan."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last = IssueProgress()

    def of(self, issued: IssueProgress) -> float:
        self._last = issued
        return issued.orders / self._seconds()

    def time_left(self, lines: int) -> str:
        """Nothing where it is not known, or where all is issued: what is open then takes its own
        time."""
        done, left = self._last.lines, lines - self._last.lines
        if not done or left <= 0:
            return ""
        return f", {max(1, round(left * self._seconds() / done))} s left"

    def _seconds(self) -> float:
        return max(time.monotonic() - self._began, 0.001)


def _sentence(plan: Plan, issued: IssueProgress, open_: int, speed: float) -> str:
    if open_:
        return f"all issued, {open_:,} orders or returns open"
    return (
        f"{issued.orders:,} of {len(plan.survey.new_orders):,} orders, {issued.lines:,} lines,"
        f" {speed:.0f} orders/s"
    )
