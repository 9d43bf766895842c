"""Look at the processes that are under way, and tell one of them to retry, compensate or skip its
step."""

from datetime import datetime
from typing import Any, NamedTuple
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
    SELECT {COLUMNS}
    FROM eventstore_saga
    WHERE (%s::text IS NULL OR saga = %s)
      AND (%s::text IS NULL OR key = %s)
      AND (%s::text IS NULL OR status = %s)
    ORDER BY updated_at, id
    LIMIT %s
"""

INTERVENTIONS = ("retry", "compensate", "skip")


class NoSuchSaga(LookupError):
    """No process of this key has begun."""


class MovedOn(Exception):
    """A process is no longer at the step that somebody saw and decided about."""


class Running(NamedTuple):
    """A process as it stands. state: as JSON."""

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
) -> list[Running]:
    """Processes, the longest untouched first."""
    return [Running(*row) for row in rows(LIST, [name, name, key, key, status, status, limit])]


def names() -> list[str]:
    return sorted(name for name, each in registry.subscriptions().items() if isinstance(each, Saga))


def statuses() -> list[str]:
    """Those that the wiring names, and ours; empty where it names none, for then any may be one."""
    named = registry.saga_statuses()
    return sorted(named | {NEEDS_ATTENTION}) if named else []


def allowed(name: str, key: str) -> list[str]:
    """The interventions that would change anything at present. Raises NewerState,
    codec.Undecodable."""
    saga = registry.subscriptions().get(name)
    if not isinstance(saga, Saga) or Intervened not in saga.react:
        return []
    known = load(name, saga, {key})
    return [
        action
        for action in INTERVENTIONS
        if key in known and _would_change(saga, known[key][0], key, action)
    ]


def _would_change(saga: Saga, state: Any, key: str, action: str) -> bool:
    """A reaction is pure: asking costs nothing and does nothing."""
    reaction = saga.react[Intervened](state, Intervened(key=key, action=action, reason="", who=""))
    return bool(reaction.commands) or reaction.state != state


def intervene(name: str, key: str, action: str, *, seen_at: int, who: str, reason: str) -> None:
    """Tell a saga to retry, compensate or skip its present step: a message like any other, in its
    order.

    seen_at: its position when the person saw it. If it moves on before the word reaches it, the
    word changes nothing, and that is written down. Raises NoSuchSaga, MovedOn, audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    found = next((Running(*row) for row in rows(FIND, [name, key])), None)
    if found is None:
        raise NoSuchSaga(f"{name} has no process {key!r}.")
    if found.position != seen_at:
        raise MovedOn(
            f"{name} {key} is not where you saw it, at {seen_at}: it is {found.status} at"
            f" {found.position}. Look again."
        )
    word = Intervened(key=key, action=action, reason=reason, who=who, seen_at=seen_at)
    metadata = Metadata(correlation_id=found.correlation_id, actor=who)
    with atomic():
        audit.record(who, action, f"{name} {key}", reason=reason, details={"seen_at": seen_at})
        log.write([], [log.saga_message(name, key, word, metadata=metadata)])
    wakeup.wake_workers()
