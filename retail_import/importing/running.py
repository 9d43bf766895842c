"""Issue, deliver until everything is final, compare."""

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
    with worker.tune_gc(), progress.shown(console, task.survey) as tell:
        try:
            _issue(task, tell)
            _settle(task, tell)
        except NothingMoves:
            stuck = True
    found = outcome.of_import(task.survey)
    return Result(
        Report(task.survey, found, task.opening, task.expected),
        list(_exceptions(task, found, stuck)),
    )


def _issue(task: Task, tell: progress.Tell) -> None:
    def between(issued: IssueProgress) -> None:
        tell(issued, 0)
        delivering.until_subscriptions_are_near(lambda: tell(issued, 0))

    issuing.issue(task.path, task.survey, task.opening, between)


def _settle(task: Task, tell: progress.Tell) -> None:
    everything = IssueProgress(task.survey.documents, task.survey.lines, len(task.survey.invoices))
    delivering.until_orders_are_final(task.survey.invoices, lambda open_: tell(everything, open_))
    delivering.until_returns_are_completed(
        task.survey.returns, lambda open_: tell(everything, open_)
    )
    delivering.until_read_models_are_level()


def _exceptions(task: Task, found: outcome.Outcome, stuck: bool) -> Iterator[str]:
    """What went another way than the file's, a line each; never silently."""
    if stuck:
        yield (
            "the subscriptions have come to a halt before every order was final and every return"
            " paid back"
        )
    yield from outcome.not_confirmed(task.survey)
    yield from credited.not_completed(task.survey)
    for adjustment, count in found.missing.items():
        yield (
            f"{adjustment.quantity:+} of {adjustment.sku} ({adjustment.reason}) was refused {count}"
            " times"
        )
    yield from delivering.parked()
