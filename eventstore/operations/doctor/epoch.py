"""The epoch of the log: whether the log may have lost events, and whether an operator knows."""

from collections.abc import Iterator

from eventstore.log import epochs
from eventstore.log.epochs import Epoch

from .findings import CRITICAL, WARNING, Finding, Limits


def log_epoch(limits: Limits) -> Iterator[Finding]:
    state = epochs.ask()
    happened = epochs.what_happened(state)
    if happened:
        needs_operator = happened in epochs.FOR_AN_OPERATOR
        yield Finding(
            check="log-epoch",
            severity=CRITICAL,
            what=epochs.sentence(state, happened)
            if needs_operator
            else "The log waits for its next epoch.",
            culprit="the operator who restored or copied the database"
            if needs_operator
            else f"PostgreSQL, after a {happened}",
            why="The log may have lost events. Appends are refused until another epoch has begun.",
            mend='manage.py after_restore --reason "…"; after a crash or a promotion, any worker or'
            " writer begins it",
        )
        return
    for each in state.epochs:
        if each.may_have_lost and each.settled_at is None:
            yield _unsettled(each)


def _unsettled(epoch: Epoch) -> Finding:
    return Finding(
        check="log-epoch",
        severity=WARNING,
        what=f"Epoch {epoch.number} of the log began at {epoch.began_at:%Y-%m-%d %H:%M:%S}"
        f" ({epoch.reason}): events after position {epoch.intact} may be lost."
        f" {epoch.detail}".rstrip(),
        culprit=f"{epoch.reason}, timeline {epoch.timeline}",
        why="Payments or shipments may have been made for orders that the log does not have.",
        mend='manage.py after_restore --reason "…"',
    )


CHECKS = (log_epoch,)
