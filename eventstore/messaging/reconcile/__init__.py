"""Compare what a broker holds with what the log says that a relay has published."""

from .filling import Refilled, refill
from .log_side import LogFailed
from .report import KINDS, Difference, Hole, Report
from .run import (
    Found,
    Progress,
    ReconciliationRefused,
    Request,
    declare_tap,
    reconcile,
    relay_named,
)

__all__ = [
    "Difference",
    "Found",
    "Hole",
    "KINDS",
    "LogFailed",
    "Progress",
    "ReconciliationRefused",
    "Refilled",
    "Report",
    "Request",
    "declare_tap",
    "reconcile",
    "refill",
    "relay_named",
]
