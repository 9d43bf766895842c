"""What is stuck, why, who is to blame, and the command that mends it."""

from collections.abc import Iterator, Sequence

from django.db import DatabaseError

from eventstore import guarantees
from eventstore.log.epochs import LogRestored

from . import brokers, schema, server
from . import delivery as delivering
from .findings import CRITICAL as CRITICAL
from .findings import WARNING as WARNING
from .findings import Finding as Finding
from .findings import Limits as Limits

HEALTHY, WARNED, SICK = 0, 1, 2
DEFAULT = Limits()
# With one of these, what else there is to ask may fail.
UNASKABLE = {"migrations", "functions", "sequence"}


def examine(limits: Limits = DEFAULT) -> list[Finding]:
    """All that is wrong, the worst first. Reads only. Without our tables and functions, nothing
    else can be asked."""
    try:
        found = [*schema.migrations(limits), *_guarantees()]
        if UNASKABLE.isdisjoint(each.check for each in found):
            checks = (*server.CHECKS, *schema.CHECKS, *delivering.CHECKS, *brokers.CHECKS)
            found += [each for check in checks for each in check(limits)]
    except LogRestored:
        found = list(server.log_epoch(limits))
    except DatabaseError as error:
        found = [_unanswered(error)]
    return sorted(found, key=lambda each: each.severity != CRITICAL)


def exit_code(found: Sequence[Finding]) -> int:
    """For monitoring: 0 healthy, 1 warnings, 2 critical."""
    if not found:
        return HEALTHY
    return SICK if any(each.severity == CRITICAL for each in found) else WARNED


def _guarantees() -> Iterator[Finding]:
    """What processes refuse to start on, in a database that was changed behind those that run."""
    for each in guarantees.breaches(guarantees.SETTINGS, guarantees.SERVER, guarantees.TABLES):
        severity = CRITICAL if each.stops else WARNING
        yield Finding(each.finding, severity, each.what, each.culprit, each.why, each.mend)


def _unanswered(error: DatabaseError) -> Finding:
    return Finding(
        "database",
        CRITICAL,
        f"The database does not answer: {str(error).strip()}",
        "DATABASE_URL, the server, or the network between",
        "Nothing works without it.",
        "Start PostgreSQL, or mend DATABASE_URL.",
    )
