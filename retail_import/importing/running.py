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
    survey, stuck = task.survey, False
    everything = IssueProgress(survey.documents, survey.lines, len(survey.invoices))
    with worker.tune_gc(), progress.shown(console, survey) as show:

        def between(issued: IssueProgress) -> None:
            show(issued, 0)
            delivering.until_subscriptions_are_near(lambda: show(issued, 0))

        def settling(open_: int) -> None:
            show(everything, open_)

        try:
            issuing.issue(task.path, survey, task.opening, between)
            delivering.until_orders_are_final(survey.invoices, settling)
            delivering.until_returns_are_completed(survey.returns, settling)
            delivering.until_read_models_are_level()
        except NothingMoves:
            stuck = True
    found = outcome.of_import(survey)
    return Result(
        Report(survey, found, task.opening, task.expected),
        list(_exceptions(task, found, stuck)),
    )


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
