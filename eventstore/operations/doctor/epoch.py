"""The epoch of the log: whether the log may have lost events, and whether an operator knows."""

from collections.abc import Iterator

from eventstore.log import epochs

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
            began = f"{each.began_at:%Y-%m-%d %H:%M:%S}"
            yield Finding(
                check="log-epoch",
                severity=WARNING,
                what=f"Epoch {each.number} of the log began at {began} ({each.reason}): events"
                f" after position {each.intact} may be lost. {each.detail}".rstrip(),
                culprit=f"{each.reason}, timeline {each.timeline}",
                why="Payments or shipments may have been made for orders that the log lacks.",
                mend='manage.py after_restore --reason "…"',
            )


CHECKS = (log_epoch,)
