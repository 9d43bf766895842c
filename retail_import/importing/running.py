"""Run a plan: issue, deliver until everything is final, compare."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.console import Console

from eventstore.delivery import worker
from eventstore.subscriptions import Commands, Projection

from ..control_totals import earlier_sales, file_totals, outcome
from ..control_totals.file_totals import FileTotals, Left
from ..control_totals.report import Report
from . import delivering, history, issuing, progress
from .delivering import NothingMoves
from .issuing import IssueProgress
from .planning import Plan


class Result(NamedTuple):
    """exceptions: one line for each deviation from the file."""

    report: Report
    exceptions: list[str]

    @property
    def is_right(self) -> bool:
        return not self.report.differs and not self.exceptions


def run(plan: Plan, expected: Mapping[str, Any], console: Console) -> Result:
    """Raises issuing.CannotGoOn."""
    stuck = False
    with worker.tune_gc(), progress.shown(console, plan) as show:

        def between(issued: IssueProgress) -> None:
            show(issued, 0)
            delivering.until_subscriptions_are_near(lambda: show(issued, 0))

        everything = IssueProgress(
            plan.survey.new_documents, plan.survey.new_lines, len(plan.survey.new_orders)
        )
        try:
            issuing.issue(plan, between)
            deliver(plan, lambda open_: show(everything, open_))
        except NothingMoves:
            stuck = True
    file = count(plan)
    found = outcome.of_import(file)
    stopped = "the subscriptions stopped before every order was final and every return refunded"
    exceptions = [
        *([stopped] if stuck else []),
        *found.unfinished,
        *(
            f"{units:+} of {sku} (invoice {invoice}) was refused"
            for (invoice, sku), units in found.missing.items()
        ),
        *delivering.parked(),
    ]
    opening: Counter[str] = history.load(plan.file.fingerprint).opening
    return Result(Report(file, found, opening, expected), exceptions)


def deliver(plan: Plan, show: progress.ShowOpen) -> None:
    """Until all that the plan led to is done. Raises NothingMoves."""
    delivering.until_level(Commands)
    delivering.until_orders_are_final(plan.survey.orders, show)
    delivering.until_level(Projection)
    delivering.until_returns_are_completed(plan.survey.notes, show)
    delivering.until_level(Commands)
    delivering.until_level(Projection)


def count(plan: Plan) -> FileTotals:
    """The file, counted by code that is not the importer's."""
    left = Left(plan.without, plan.lines_left_out)
    rows = list[file_totals.Row](file_totals.rows(plan.file.path, form=plan.form.value, left=left))
    credited = {row.customer for row in rows if row.kind == "CREDIT_GOODS" and row.customer}
    earlier = earlier_sales.of(
        credited,
        orders={row.invoice for row in rows if row.kind in file_totals.SALES},
        notes={row.invoice for row in rows if row.kind in file_totals.CREDITS},
    )
    return FileTotals(rows, earlier)
