"""A finding of the doctor, and the limits from which on something is a finding."""

from datetime import timedelta
from typing import NamedTuple

CRITICAL = "critical"
WARNING = "warning"


class Finding(NamedTuple):
    """One problem.

    check: the id of the check. severity: critical if orders do not move or could be lost, else
    warning. what: the fact. culprit: the backend, subscription, message or setting at fault. why:
    the consequence. mend: the command that repairs it. subscription, saga_key: what it is about,
    for links; "" if it is about neither.
    """

    check: str
    severity: str
    what: str
    culprit: str
    why: str
    mend: str
    subscription: str = ""
    saga_key: str = ""


class Limits(NamedTuple):
    """The values from which on something is a finding."""

    fence: timedelta = timedelta(seconds=2)
    still: timedelta = timedelta(seconds=30)
    held: timedelta = timedelta(seconds=20)
    silent: timedelta = timedelta(seconds=30)
    beat: timedelta = timedelta(minutes=2)
    lease: timedelta = timedelta(seconds=30)
    failing: timedelta = timedelta(seconds=60)
    reading: timedelta = timedelta(seconds=60)
    relay: timedelta = timedelta(minutes=5)
    webhook: timedelta = timedelta(minutes=5)
    slot_bytes: int = 256 << 20
    deadline: timedelta = timedelta(seconds=60)
    uncleared: timedelta = timedelta(minutes=10)
    transaction: timedelta = timedelta(minutes=10)
    rebuild: timedelta = timedelta(hours=1)
    clock_seconds: float = 2.0
    parked: int = 1000
    connections_share: float = 0.8
    disk_share: float = 0.1
    xid_age: int = 1_000_000_000
