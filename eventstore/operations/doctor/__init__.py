"""The doctor: what is stuck, why, what is at fault, and the command that mends it."""

from collections.abc import Callable, Iterable, Sequence

from django.db import DatabaseError

from eventstore import guarantees
from eventstore.log.epochs import LogRestored

from . import (
    backlog,
    broker,
    cdc,
    consumers,
    epoch,
    registry,
    relays,
    schema,
    server,
    sessions,
    subscriptions,
    webhooks,
    workers,
)
from .findings import CRITICAL as CRITICAL
from .findings import WARNING as WARNING
from .findings import Finding as Finding
from .findings import Limits as Limits

Check = Callable[[Limits], Iterable[Finding]]

HEALTHY, WARNED, SICK = 0, 1, 2
DEFAULT = Limits()
CHECKS: Sequence[Check] = (
    *sessions.CHECKS,
    *server.CHECKS,
    *epoch.CHECKS,
    *schema.CHECKS,
    *subscriptions.CHECKS,
    *backlog.CHECKS,
    *workers.CHECKS,
    *broker.CHECKS,
    *relays.CHECKS,
    *cdc.CHECKS,
    *consumers.CHECKS,
    *webhooks.CHECKS,
    *registry.CHECKS,
)
# With one of these findings the queries of other checks may fail.
BLOCKING = {"migrations", "functions", "sequence"}


def examine(limits: Limits = DEFAULT, *, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """All findings, the critical ones first. Only reads.

    If tables or functions are missing, the checks that need them are left out.
    """
    try:
        found = list(schema.migrations(limits))
        # Processes check these at their start; here they are checked while the processes run.
        found += [
            Finding(
                check=each.finding,
                severity=CRITICAL if each.stops else WARNING,
                what=each.what,
                culprit=each.culprit,
                why=each.why,
                mend=each.mend,
            )
            for each in guarantees.breaches(
                guarantees.SETTINGS, guarantees.SERVER, guarantees.TABLES
            )
        ]
        if BLOCKING.isdisjoint(each.check for each in found):
            found += [each for check in checks for each in check(limits)]
    except LogRestored:
        found = list(epoch.log_epoch(limits))
    except DatabaseError as error:
        found = [
            Finding(
                check="database",
                severity=CRITICAL,
                what=f"The database does not answer: {str(error).strip()}",
                culprit="DATABASE_URL, the server, or the network in between",
                why="Nothing works without the database.",
                mend="Start PostgreSQL, or correct DATABASE_URL.",
            )
        ]
    return sorted(found, key=lambda each: each.severity != CRITICAL)


def exit_code(found: Sequence[Finding]) -> int:
    """For monitoring: 0 healthy, 1 warnings, 2 critical."""
    if not found:
        return HEALTHY
    return SICK if any(each.severity == CRITICAL for each in found) else WARNED
