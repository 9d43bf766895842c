"""After a restore: begin another epoch of the log, and find everything that may refer to lost
events."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from eventstore import registry
from eventstore.commands import idempotency
from eventstore.log import audit, epochs
from eventstore.log.epochs import Epoch
from eventstore.outbox import cursors
from eventstore.postgres import quoted, rows
from eventstore.subscriptions import Projection

# An event may be recorded this much later than one with a higher position.
SLACK = timedelta(seconds=5)

SETTLE = """
    UPDATE eventstore_epoch SET settled_at = clock_timestamp() WHERE number = %s RETURNING number
"""
RECORDED_AT = """
    SELECT recorded_at FROM eventstore_event WHERE position <= %s ORDER BY position DESC LIMIT 1
"""
BEYOND = "SELECT count(*) FROM {table} WHERE position > %s AND position <= %s"
HEAD = "SELECT greatest(%s, (SELECT max(position) FROM eventstore_outbox WHERE position < %s))"
CURSORS = """
    SELECT name, position
    FROM eventstore_subscription
    WHERE position > %s AND position < %s
    ORDER BY name
"""
PARKED_WITHOUT_MESSAGE = """
    SELECT count(*) FROM eventstore_parked AS parked
    WHERE NOT EXISTS (SELECT FROM eventstore_outbox WHERE position = parked.position)
      AND NOT EXISTS (SELECT FROM eventstore_event WHERE position = parked.position)
"""


class Report(NamedTuple):
    """epoch: the present one. since: the beginning of the time whose events may be lost. done,
    open: sentences; an operator has to act on the open ones."""

    epoch: Epoch
    since: datetime | None
    done: list[str]
    open: list[str]


def restored(*, who: str, reason: str, since: datetime | None = None) -> Report:
    """Begin another epoch, unless the present one began by itself and is not settled; check
    everything besides the log, and ask the providers.

    since: ask the providers from this time on, in place of the time up to which the log is intact.
    Raises audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    state = epochs.ask()
    latest = state.epochs[-1]
    began_by_itself = latest.may_have_lost and latest.settled_at is None
    if epochs.what_happened(state) or not began_by_itself:
        epochs.begin(epochs.RESTORE, over=state.mark)
    epoch = epochs.ask().epochs[-1]
    if since is None:
        recorded = rows(RECORDED_AT, [epoch.intact])
        since = recorded[0][0] - SLACK if recorded else None
    done = [
        f"Epoch {epoch.number} of the log began at {epoch.began_at:%Y-%m-%d %H:%M:%S}"
        f" ({epoch.reason}): all events up to position {epoch.intact} are intact, the last event is"
        f" at {epoch.last}.",
        f"New positions begin after {epoch.first}, so no position of a lost event is used again.",
    ]
    forgotten = idempotency.forget_lost(after=epoch.last, until=epoch.first)
    done.append(
        f"{forgotten} stored responses referred to events that the log lacks; they were deleted."
        if forgotten
        else "No stored response refers to an event that the log lacks."
    )
    open_ = list(_references_beyond_the_log(epoch))
    answers, differences = _ask_providers(since)
    done += answers
    open_ += differences
    if not rows(SETTLE, [epoch.number]):
        raise LookupError(f"epoch {epoch.number} does not exist")
    details = {"open": open_}
    audit.record(who, "after restore", f"epoch {epoch.number}", reason=reason, details=details)
    epochs.renew()
    return Report(epoch, since, done, open_)


def _references_beyond_the_log(epoch: Epoch) -> Iterator[str]:
    """Cursors, rows of read models and parked messages that refer to lost events."""
    # A cursor may be as far as the outbox goes, and a window further if nothing was left to do.
    ((head,),) = rows(HEAD, [epoch.last, epoch.first])
    for name, position in rows(CURSORS, [head + cursors.WINDOW, epoch.first]):
        yield (
            f"The subscription {name} is at position {position}, but the log ends at {head}: it was"
            " not restored together with the log. It continues with new events; check its effects"
            f" after {head}."
        )
    for name, projection in registry.of_kind(Projection).items():
        table = quoted(projection.model._meta.db_table)
        ((count,),) = rows(BEYOND.format(table=table), [epoch.last, epoch.first])
        if count:
            yield (
                f"{count} rows of {name} include events that the log lacks: manage.py"
                f" rebuild_projection {name}"
            )
    ((count,),) = rows(PARKED_WITHOUT_MESSAGE)
    if count:
        yield (
            f"{count} parked messages belong to events that the log lacks: manage.py dead_letters"
            " list"
        )


def _ask_providers(since: datetime | None) -> tuple[list[str], list[str]]:
    """What providers did that the log lacks: sentences that are done, and open ones."""
    done, open_ = list[str](), list[str]()
    for name, look in registry.after_restore().items():
        if since is None:
            done.append(f"{name}: not asked, because the log had no events before.")
            continue
        known = len(open_)
        try:
            open_.extend(f"{name}: {each}" for each in look(since))
        except Exception as error:  # noqa: BLE001  a provider that fails must not keep us from the others
            problem = f"{type(error).__name__}: {error}"
            open_.append(f"{name}: could not be asked, run the command again: {problem}")
        if len(open_) == known:
            done.append(f"{name}: did nothing since {since:%Y-%m-%d %H:%M:%S} that the log lacks.")
    return done, open_
