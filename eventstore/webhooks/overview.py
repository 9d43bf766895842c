"""How webhooks are doing, for the doctor and the console: a few numbers, each by an index."""

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from eventstore import settings
from eventstore.models import WebhookDelivery, WebhookMessage
from eventstore.postgres import rows

from . import secrets

COUNTS = """
    SELECT count(*) FILTER (WHERE status = 'enabled'),
           count(*) FILTER (WHERE status = 'enabled' AND failures > 0),
           count(*) FILTER (WHERE status = 'disabled'),
           coalesce(sum(queued) FILTER (WHERE status = 'enabled'), 0)::bigint
    FROM eventstore_webhook_endpoint
    WHERE status <> 'deleted'
"""
# Due, and not because an endpoint rests.
LATE = """
    SELECT endpoint.id, extract(epoch FROM now() - head.due_at)::double precision
    FROM eventstore_webhook_endpoint AS endpoint
    CROSS JOIN LATERAL (
        SELECT due_at FROM eventstore_webhook_delivery
        WHERE endpoint_id = endpoint.id AND status IN ('waiting', 'leased')
        ORDER BY due_at
        LIMIT 1
    ) AS head
    WHERE status = 'enabled' AND queued > 0 AND rest_until < now() - %s
      AND head.due_at < now() - %s
    ORDER BY head.due_at
"""
# By their failures, lately.
DISABLED = """
    SELECT id, url, disabled_reason, last_error
    FROM eventstore_webhook_endpoint
    WHERE status = 'disabled' AND disabled_at > now() - %s
      AND disabled_reason IN ('gone', 'failing')
    ORDER BY disabled_at DESC
    LIMIT 20
"""
UNSIGNABLE = """
    SELECT id FROM eventstore_webhook_endpoint
    WHERE status = 'enabled' AND key_id <> ALL(%s)
    ORDER BY id
    LIMIT 20
"""


class Counts(NamedTuple):
    """Endpoints: enabled, failing among these, and disabled. waiting: deliveries."""

    enabled: int
    failing: int
    disabled: int
    waiting: int


class Disabled(NamedTuple):
    id: UUID
    url: str
    reason: str
    error: str


def with_messages(found: QuerySet[WebhookDelivery]) -> QuerySet[WebhookDelivery]:
    """Each with its message but for the body. By a second statement: a join reads all messages
    while the statistics say that there is none."""
    messages = WebhookMessage.objects.defer("body")
    return found.prefetch_related(Prefetch("message", messages))


def counts() -> Counts:
    return Counts(*rows(COUNTS)[0])


def late(than: timedelta) -> list[tuple[UUID, float]]:
    """The endpoints with a delivery that should have been attempted so long ago, and seconds since
    then."""
    return [(id_, seconds) for id_, seconds in rows(LATE, [than, than])]


def disabled(within: timedelta) -> list[Disabled]:
    """At most 20, the last ones first."""
    return [Disabled(*row) for row in rows(DISABLED, [within])]


def unsignable() -> list[UUID]:
    """Endpoints whose secret is derived from a key that the settings no longer have; at most 20."""
    known = [secrets.key_id(each) for each in settings.webhook_keys()]
    return [id_ for (id_,) in rows(UNSIGNABLE, [known])]
