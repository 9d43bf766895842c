"""Run an import: issue, deliver until everything is final, compare."""

from typing import NamedTuple

from rich.console import Console

from eventstore.delivery import worker

from . import credited, delivering, issuing, outcome, progress
from .delivering import NothingMoves
from .issuing import IssueProgress
from .preparing import Task
from .report import Report


class Result(NamedTuple):
    """exceptions: one line for each deviation from the file."""

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

        try:
            issuing.issue(task.path, survey, task.opening, between)
            delivering.until_orders_are_final(
                survey.invoices, lambda open_: show(everything, open_)
            )
            delivering.until_returns_are_completed(
                survey.returns, lambda open_: show(everything, open_)
            )
            delivering.until_read_models_are_level()
        except NothingMoves:
            stuck = True
    found = outcome.of_import(survey)
    stopped = "the subscriptions stopped before every order was final and every return refunded"
    exceptions = [
        *([stopped] if stuck else []),
        *outcome.not_confirmed(survey),
        *credited.not_completed(survey),
        *(
            f"{each.quantity:+} of {each.sku} ({each.reason}) was refused {count} times"
            for each, count in found.missing.items()
        ),
        *delivering.parked(),
    ]
    return Result(Report(survey, found, task.opening, task.expected), exceptions)
