"""After a restore: another epoch of the log, and a look at everything that may go on from what is
lost."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from eventstore import registry
from eventstore.log import audit, epochs
from eventstore.log.epochs import Epoch
from eventstore.outbox import cursors
from eventstore.postgres import rows
from eventstore.subscriptions import Projection

# Of two events, the one with the earlier position may have been recorded so much later.
SLACK = timedelta(seconds=5)

SETTLE = (
    "UPDATE eventstore_epoch SET settled_at = clock_timestamp() WHERE number = %s RETURNING number"
)
RECORDED = (
    "SELECT recorded_at FROM eventstore_event WHERE position <= %s ORDER BY position DESC LIMIT 1"
)
AHEAD = "SELECT count(*) FROM {table} WHERE position > %s AND position <= %s"
# Where only some tables were restored, answers speak of what is not there.
FORGET_ANSWERS = """
    DELETE FROM eventstore_stored_response
    WHERE status = 202 AND (body::json->>'position')::bigint > %s
        AND (body::json->>'position')::bigint <= %s
    RETURNING scope
"""
HEAD = "SELECT greatest(%s, (SELECT max(position) FROM eventstore_outbox WHERE position < %s))"
CURSORS = (
    "SELECT name, position FROM eventstore_subscription WHERE position > %s AND position < %s ORDER"
    " BY name"
)
PARKED = """
    SELECT count(*) FROM eventstore_parked AS parked
    WHERE NOT EXISTS (SELECT FROM eventstore_outbox WHERE position = parked.position)
      AND NOT EXISTS (SELECT FROM eventstore_event WHERE position = parked.position)
"""


class Report(NamedTuple):
    """epoch: the present one. since: when what may be lost began. done, open: in sentences; open
    waits for a person."""

    epoch: Epoch
    since: datetime | None
    done: list[str]
    open: list[str]


def restored(*, who: str, reason: str, since: datetime | None = None) -> Report:
    """Begin another epoch, unless the present one has begun by itself and nobody has seen to it;
    look at what is beside the log, and ask the providers. since: what they did from then on is
    asked for, instead of from what is intact on.

    Raises audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    epoch = _epoch()
    since = since or _recorded(epoch.intact)
    done, still_open = [_sentence(epoch)], list[str]()
    done += [*_sequence(epoch), *_answers(epoch)]
    still_open += [*_cursors(epoch), *_read_models(epoch), *_parked()]
    for name, look in registry.after_restore().items():
        if since is None:
            done.append(f"{name}: nothing was recorded before, so nothing was asked.")
            continue
        found = list(_asked(name, look, since))
        done += (
            []
            if found
            else [f"{name}: nothing was done since {since:%Y-%m-%d %H:%M:%S} that the log lacks."]
        )
        still_open += [f"{name}: {each}" for each in found]
    if not rows(SETTLE, [epoch.number]):
        raise LookupError(f"epoch {epoch.number} is not there")
    audit.record(
        who, "after restore", f"epoch {epoch.number}", reason=reason, details={"open": still_open}
    )
    epochs.renew()
    return Report(epoch, since, done, still_open)


def _epoch() -> Epoch:
    standing = epochs.ask()
    latest = standing.epochs[-1]
    began_by_itself = latest.may_have_lost and latest.settled_at is None
    if epochs.what_happened(standing) or not began_by_itself:
        epochs.begin(epochs.RESTORE, over=standing.mark)
    return epochs.ask().epochs[-1]


def _recorded(position: int) -> datetime | None:
    found = rows(RECORDED, [position])
    return found[0][0] - SLACK if found else None


def _sentence(epoch: Epoch) -> str:
    return (
        f"Epoch {epoch.number} of the log began at {epoch.began_at:%Y-%m-%d %H:%M:%S}"
        f" ({epoch.reason}): all up to position {epoch.intact} is there, the last event is at"
        f" {epoch.last}."
    )


def _sequence(epoch: Epoch) -> Iterator[str]:
    yield (
        f"New positions lie behind {epoch.first}: none that was given to what is lost is given"
        " again."
    )


def _answers(epoch: Epoch) -> Iterator[str]:
    if forgotten := rows(FORGET_ANSWERS, [epoch.last, epoch.first]):
        yield (
            f"{len(forgotten)} answers under idempotency keys spoke of what the log lacks; they"
            " were forgotten."
        )
    else:
        yield "No answer under an idempotency key speaks of an event that the log lacks."


def _cursors(epoch: Epoch) -> Iterator[str]:
    """As far as the outbox goes a cursor may have come; and it may be far where nothing was left to
    do."""
    ((head,),) = rows(HEAD, [epoch.last, epoch.first])
    for name, position in rows(CURSORS, [head + cursors.WINDOW, epoch.first]):
        yield (
            f"The subscription {name} stands at {position}, and the log ends at {head}: it was not"
            " restored together with the log. It goes on with new events; see what it did beyond"
            f" {head}."
        )


def _read_models(epoch: Epoch) -> Iterator[str]:
    for name, each in registry.subscriptions().items():
        if isinstance(each, Projection):
            ((count,),) = rows(
                AHEAD.format(table=each.model._meta.db_table), [epoch.last, epoch.first]
            )
            if count:
                yield (
                    f"{count} rows of {name} hold events that the log lacks: manage.py"
                    f" rebuild_projection {name}"
                )


def _parked() -> Iterator[str]:
    ((count,),) = rows(PARKED)
    if count:
        yield (
            f"{count} parked messages are of events that the log lacks: manage.py dead_letters list"
        )


def _asked(name: str, look: object, since: datetime) -> Iterator[str]:
    try:
        yield from look(since)  # type: ignore[operator]
    except Exception as error:  # noqa: BLE001  whatever it is, this one could not be asked, and the others can
        yield f"could not be asked, run the command again: {type(error).__name__}: {error}"
