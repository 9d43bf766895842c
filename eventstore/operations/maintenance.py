"""Periodic chores. Their intervals are in eventstore.delivery.chores.CHORES."""

from eventstore import settings
from eventstore.commands import deferred, idempotency, repository
from eventstore.delivery import heartbeats
from eventstore.log import fence_monitor
from eventstore.messaging.cdc import outbox as integration_outbox
from eventstore.outbox import cursors, received
from eventstore.projections import rebuild as rebuilds
from eventstore.webhooks import upkeep

from . import metrics

CLEAR_BATCH = 100_000
REBUILD_SECONDS = 5.0


def clear_outbox() -> None:
    cursors.clear(retention=settings.outbox_retention(), limit=CLEAR_BATCH)


def clear_integration_outbox() -> None:
    integration_outbox.clear()


def rebuild() -> None:
    rebuilds.work(seconds=REBUILD_SECONDS)


def watch() -> None:
    fence_monitor.warn_about_blockers()
    heartbeats.note(heartbeats.BEAT)
    heartbeats.forget()
    metrics.take()


def forget_answers() -> None:
    """Delete old stored responses, and old deferred commands with their outcome."""
    idempotency.forget(older_than=settings.response_retention())
    deferred.forget(older_than=settings.response_retention())


def forget_received() -> None:
    received.forget(older_than=settings.inbox_retention())


def tend_webhooks() -> None:
    """Mails to owners of disabled endpoints; old deliveries."""
    upkeep.tend()


def take_snapshots() -> None:
    repository.take_snapshots()
