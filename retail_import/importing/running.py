"""Run an import: issue, deliver until everything is final, compare."""

from collections.abc import Iterator
from typing import NamedTuple

from rich.console import Console

from eventstore.delivery import worker

from . import credited, delivering, issuing, outcome, progress
from .delivering import NothingMoves
from .issuing import IssueProgress
from .preparing import Task
from .report import Report


class Result(NamedTuple):
    report: Report
    exceptions: list[str]

    @property
    def is_right(self) -> bool:
        return not self.report.differs and not self.exceptions


def run(task: Task, console: Console) -> Result:
    """Raises issuing.CannotGoOn."""
    stuck = False
    with worker.tune_gc(), progress.shown(console, task.survey) as show:
        try:
            _issue(task, show)
            _settle(task, show)
        except NothingMoves:
            stuck = True
    found = outcome.of_import(task.survey)
    return Result(
        Report(task.survey, found, task.opening, task.expected),
        list(_exceptions(task, found, stuck)),
    )


def _issue(task: Task, show: progress.Show) -> None:
    def between(issued: IssueProgress) -> None:
        show(issued, 0)
        delivering.until_subscriptions_are_near(lambda: show(issued, 0))

    issuing.issue(task.path, task.survey, task.opening, between)


def _settle(task: Task, show: progress.Show) -> None:
    everything = IssueProgress(task.survey.documents, task.survey.lines, len(task.survey.invoices))
    delivering.until_orders_are_final(task.survey.invoices, lambda open_: show(everything, open_))
    delivering.until_returns_are_completed(
        task.survey.returns, lambda open_: show(everything, open_)
    )
    delivering.until_read_models_are_level()


def _exceptions(task: Task, found: outcome.Outcome, stuck: bool) -> Iterator[str]:
    """One line for each deviation from the file."""
    if stuck:
        yield ("the subscriptions stopped before every order was final and every return refunded")
    yield from outcome.not_confirmed(task.survey)
    yield from credited.not_completed(task.survey)
    for adjustment, count in found.missing.items():
        yield (
            f"{adjustment.quantity:+} of {adjustment.sku} ({adjustment.reason}) was refused {count}"
            " times"
        )
    yield from delivering.parked()
