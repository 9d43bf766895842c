"""List running processes, and tell one of them to retry, compensate or skip its step."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from eventstore import log, registry
from eventstore.log import audit
from eventstore.messages import Intervened, Metadata
from eventstore.outbox import wakeup
from eventstore.postgres import atomic, rows
from eventstore.subscriptions import Saga

from .attention import NEEDS_ATTENTION
from .process import load

COLUMNS = "saga, key, status, state, position, correlation_id, deadline_at, started_at, updated_at"
FIND = f"SELECT {COLUMNS} FROM eventstore_saga WHERE saga = %s AND key = %s LIMIT 1"
LIST = f"""
    SELECT {COLUMNS}, count(*) OVER ()
    FROM eventstore_saga
    WHERE (%s::text IS NULL OR saga = %s)
      AND (%s::text IS NULL OR key = %s)
      AND (%s::text IS NULL OR status = %s)
    ORDER BY status <> '{NEEDS_ATTENTION}', deadline_at IS NULL, updated_at, id
    LIMIT %s
"""

INTERVENTIONS = ("retry", "compensate", "skip")


class NoSuchSaga(LookupError):
    """No process has this key."""


class MovedOn(Exception):
    """The process has left the step that the operator saw."""


class Running(NamedTuple):
    """A process and its state as JSON."""

    saga: str
    key: str
    status: str
    state: str
    position: int
    correlation_id: UUID
    deadline_at: datetime | None
    started_at: datetime
    updated_at: datetime


def running(
    *, name: str | None = None, key: str | None = None, status: str | None = None, limit: int = 1000
) -> tuple[list[Running], int]:
    """Processes, and how many there are without the limit.

    First those that need attention, then those that wait with a deadline, then the others: each
    kind with the longest without a change first.
    """
    found = rows(LIST, [name, name, key, key, status, status, limit])
    return [Running(*row[:-1]) for row in found], found[0][-1] if found else 0


def names() -> list[str]:
    return sorted(registry.of_kind(Saga))


def statuses() -> list[str]:
    """The statuses that the wiring lists, and NEEDS_ATTENTION; empty if it lists none, because then
    any status may occur."""
    listed = registry.saga_statuses()
    return sorted(listed | {NEEDS_ATTENTION}) if listed else []


def allowed(name: str, key: str) -> list[str]:
    """The interventions that would change the process in its present state. Raises NewerState,
    codec.Undecodable."""
    saga = registry.subscriptions().get(name)
    if not isinstance(saga, Saga) or Intervened not in saga.react:
        return []
    loaded = load(name, saga, {key})
    if key not in loaded:
        return []
    state, _ = loaded[key]
    # Reactions are pure, so trying one has no effect.
    tried = {
        action: saga.react[Intervened](state, Intervened(key, action, reason="", who=""))
        for action in INTERVENTIONS
    }
    return [action for action, after in tried.items() if after.commands or after.state != state]


def intervene(name: str, key: str, action: str, *, seen_at: int, who: str, reason: str) -> None:
    """Send a process the message to retry, compensate or skip its present step.

    seen_at: the position of the process when the operator saw it. If the process moves on before
    the message arrives, the message changes nothing, and the audit log says so. Raises NoSuchSaga,
    MovedOn, audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    found = next((Running(*row) for row in rows(FIND, [name, key])), None)
    if found is None:
        raise NoSuchSaga(f"{name} has no process {key!r}.")
    if found.position != seen_at:
        raise MovedOn(
            f"{name} {key} has moved on from position {seen_at}: it is {found.status} at"
            f" {found.position}. Check it again."
        )
    message = Intervened(key=key, action=action, reason=reason, who=who, seen_at=seen_at)
    metadata = Metadata(correlation_id=found.correlation_id, actor=who)
    with atomic():
        audit.record(who, action, f"{name} {key}", reason=reason, details={"seen_at": seen_at})
        log.write([], [log.saga_message(name, key, message, metadata=metadata)])
    wakeup.wake_workers()
