"""What a check has found, and from where on it calls something a finding."""

from datetime import timedelta
from typing import NamedTuple

CRITICAL = "critical"
WARNING = "warning"


class Finding(NamedTuple):
    """check: which one found it. severity: critical when orders do not move or could be lost, else
    warning.

    what: the fact, in a sentence. culprit: which backend, subscription, message or setting is to
    blame. why: what it leads to. mend: the command that mends it.
    """

    check: str
    severity: str
    what: str
    culprit: str
    why: str
    mend: str


class Limits(NamedTuple):
    """From where on something is a finding."""

    fence: timedelta = timedelta(seconds=2)
    still: timedelta = timedelta(seconds=30)
    held: timedelta = timedelta(seconds=20)
    silent: timedelta = timedelta(seconds=30)
    lease: timedelta = timedelta(seconds=30)
    deadline: timedelta = timedelta(seconds=60)
    uncleared: timedelta = timedelta(minutes=10)
    transaction: timedelta = timedelta(minutes=10)
    rebuild: timedelta = timedelta(hours=1)
    clock_seconds: float = 2.0
    parked: int = 1000
    connections_share: float = 0.8
    disk_share: float = 0.1
    xid_age: int = 1_000_000_000
