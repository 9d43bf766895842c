"""The endpoints: registered, changed, disabled and enabled by their owners, or by operators.

A transaction that locks an endpoint and its deliveries locks the endpoint first.
"""

import logging
from collections.abc import Collection, Container, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import transaction

from eventstore import log, registry, settings
from eventstore.aggregate import CommandRejected
from eventstore.codec import encode_json
from eventstore.commands.bus import Stale
from eventstore.models import WebhookEndpoint
from eventstore.outbox import wakeup
from eventstore.postgres import atomic, execute, rows
from eventstore.subscriptions import Receiver, Webhooks

from . import addresses, secrets
from .addresses import AddressRefused, Resolver
from .secrets import Salt

logger = logging.getLogger(__name__)

# In types: every published type, also those of later releases.
ALL_TYPES = "*"
# Seconds for the look-up of a name when an endpoint is registered.
LOOK_UP_SECONDS = 3.0

ENABLED, DISABLED, DELETED = WebhookEndpoint.Status.values
# Why an endpoint is disabled.
GONE, FAILING, BY_OWNER, BY_OPERATOR, NO_ACCOUNT = (
    "gone",
    "failing",
    "owner",
    "operator",
    "account",
)

# Two registrations of one owner at once are counted one after the other.
LOCK_OWNER = "SELECT pg_advisory_xact_lock(hashtextextended('eventstore webhooks ' || %s, 0))"
COUNT = "SELECT count(*) FROM eventstore_webhook_endpoint WHERE owner = %s AND status <> 'deleted'"
REGISTER = """
    INSERT INTO eventstore_webhook_endpoint
        (id, owner, is_for_all, url, types, description, after, salt, key_id)
    VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
LOCK = """
    SELECT version, status
    FROM eventstore_webhook_endpoint
    WHERE id = %s AND status <> 'deleted'
    FOR NO KEY UPDATE
"""
CHANGE = """
    UPDATE eventstore_webhook_endpoint
    SET url = %s, types = %s::jsonb, description = %s, version = version + 1
    WHERE id = %s
    RETURNING version
"""
ROTATE = """
    UPDATE eventstore_webhook_endpoint
    SET former_salt = salt, former_key_id = key_id, former_until = now() + %s,
        salt = %s, key_id = %s, secret_version = secret_version + 1, version = version + 1
    WHERE id = %s
    RETURNING version
"""
DISABLE = """
    UPDATE eventstore_webhook_endpoint
    SET status = 'disabled', disabled_reason = %s, disabled_at = now(), version = version + 1
    WHERE id = %s
    RETURNING version
"""
ENABLE = """
    UPDATE eventstore_webhook_endpoint
    SET status = 'enabled', disabled_reason = '', disabled_at = NULL, told_at = NULL, failures = 0,
        failing_since = NULL, rest_until = now(), version = version + 1
    WHERE id = %s
    RETURNING version
"""
# What is left of it is deleted in batches; see PURGE and deliveries.PURGE_DELIVERIES.
DELETE = """
    UPDATE eventstore_webhook_endpoint
    SET status = 'deleted', disabled_at = now(), url = '', description = '', salt = '',
        former_salt = '', queued = 0, queued_bytes = 0, version = version + 1
    WHERE id = %s
    RETURNING version
"""
ANY_ENABLED = "SELECT FROM eventstore_webhook_endpoint WHERE status = 'enabled' LIMIT 1"
OWNERS = "SELECT DISTINCT owner FROM eventstore_webhook_endpoint WHERE status = 'enabled'"
# In the order of the ids, so that two transactions that lock several cannot deadlock.
MATCHING = """
    SELECT id, owner, is_for_all, types, after, queued_bytes
    FROM eventstore_webhook_endpoint
    WHERE status = 'enabled' AND (is_for_all OR owner = ANY(%s))
      AND jsonb_exists_any(types, %s)
    ORDER BY id
    FOR NO KEY UPDATE
"""
DISABLE_OF_OWNERS = """
    UPDATE eventstore_webhook_endpoint
    SET status = 'disabled', disabled_reason = 'account', disabled_at = now(), version = version + 1
    WHERE status = 'enabled' AND owner = %s AND (is_for_all OR NOT %s)
    RETURNING id
"""
# Of those that were disabled for their failures, the owner gets a mail.
UNTOLD = """
    SELECT id, owner, url, disabled_reason, disabled_at, last_error
    FROM eventstore_webhook_endpoint
    WHERE status = 'disabled' AND told_at IS NULL AND disabled_reason IN ('gone', 'failing')
    ORDER BY disabled_at
    LIMIT %s
"""
TELL = "UPDATE eventstore_webhook_endpoint SET told_at = now() WHERE id = %s"
# What deliveries.py does to an endpoint: queued and queued_bytes are its deliveries that wait.
LOCK_QUEUES = """
    SELECT FROM eventstore_webhook_endpoint
    WHERE id = ANY(%s)
    ORDER BY id
    FOR NO KEY UPDATE
"""
LOCK_QUEUE = """
    SELECT status, failures
    FROM eventstore_webhook_endpoint
    WHERE id = %s
    FOR NO KEY UPDATE
"""
NOTE_FAILURE = """
    UPDATE eventstore_webhook_endpoint
    SET failures = failures + 1, failing_since = coalesce(failing_since, now()), last_error = %s,
        rest_until = greatest(rest_until, now() + %s),
        queued = queued - %s, queued_bytes = queued_bytes - %s
    WHERE id = %s
    RETURNING failures, failing_since <= now() - %s
"""
QUEUE_ONE = """
    UPDATE eventstore_webhook_endpoint
    SET queued = queued + %s, queued_bytes = queued_bytes + %s, rest_until = now()
    WHERE id = %s
    RETURNING queued_bytes
"""
# The ends of statements of deliveries.py, which name the deliveries that these count.
COUNT_QUEUED = """
    UPDATE eventstore_webhook_endpoint AS endpoint
    SET queued = queued + added.count, queued_bytes = queued_bytes + added.bytes
    FROM (
        SELECT endpoint_id, count(*) AS count, sum(bytes) AS bytes
        FROM created
        WHERE status = 'waiting'
        GROUP BY endpoint_id
    ) AS added
    WHERE endpoint.id = added.endpoint_id
"""
NOTE_SERVED = """
        UPDATE eventstore_webhook_endpoint
        SET served_at = clock_timestamp()
        WHERE id = ANY(ARRAY(SELECT endpoint_id FROM due))
"""
NOTE_SUCCESSES = """
        UPDATE eventstore_webhook_endpoint AS endpoint
        SET failures = 0, failing_since = NULL, last_error = '', succeeded_at = now(),
            queued = queued - done.count, queued_bytes = queued_bytes - done.bytes
        FROM (
            SELECT endpoint_id, count(*) AS count, sum(bytes) AS bytes
            FROM held
            GROUP BY endpoint_id
        ) AS done
        WHERE endpoint.id = ANY(ARRAY(SELECT endpoint_id FROM held))
          AND endpoint.id = done.endpoint_id AND endpoint.status <> 'deleted'
"""
COUNT_GIVEN_UP = """
    UPDATE eventstore_webhook_endpoint
    SET queued = queued - (SELECT count(*) FROM given_up),
        queued_bytes = queued_bytes - (SELECT coalesce(sum(bytes), 0) FROM given_up)
    WHERE id = %s
"""
PURGE = """
    DELETE FROM eventstore_webhook_endpoint
    WHERE id = ANY(ARRAY(
        SELECT id FROM eventstore_webhook_endpoint AS endpoint
        WHERE status = 'deleted' AND disabled_at < now() - %s AND NOT EXISTS (
            SELECT FROM eventstore_webhook_delivery WHERE endpoint_id = endpoint.id
        )
        LIMIT %s
    ))
"""


class TooManyEndpoints(CommandRejected):
    """The account has the maximum number of webhook endpoints."""


class EndpointDisabled(CommandRejected):
    """The webhook endpoint is disabled. Enable it first."""


class NoSuchEndpoint(LookupError):
    """It does not exist, or was deleted."""


class UnknownTypes(ValueError):
    """Types that are not published."""


class Form(NamedTuple):
    """What an owner decides about an endpoint."""

    url: str
    types: Sequence[str]
    description: str = ""


class Match(NamedTuple):
    """An enabled endpoint that gets some of a batch of events. queued_bytes: what waits for it."""

    id: UUID
    owner: str
    is_for_all: bool
    types: Sequence[str]
    after: int
    queued_bytes: int


class Untold(NamedTuple):
    id: UUID
    owner: str
    url: str
    reason: str
    at: datetime
    error: str


def wired() -> Webhooks | None:
    """The one of the wiring."""
    return next(iter(registry.of_kind(Webhooks).values()), None)


def receivers(owners: Collection[str]) -> dict[str, Receiver]:
    """Those of the owners that may get webhooks now."""
    found = wired()
    return dict(found.receivers(owners)) if found and owners else {}


def known_types() -> list[str]:
    return sorted(registry.published_types())


def check(form: Form, *, resolver: Resolver = addresses.system_resolver) -> None:
    """Resolves the name of the host. Raises AddressRefused, UnknownTypes."""
    known = {ALL_TYPES, *known_types()}
    if unknown := [each for each in form.types if each not in known]:
        raise UnknownTypes(f"Not published: {', '.join(unknown)}.")
    target = addresses.parse(form.url)
    try:
        addresses.resolve(target, resolver, seconds=LOOK_UP_SECONDS)
    except OSError as error:
        raise AddressRefused(str(error)) from None


def register(id_: UUID, owner: str, form: Form, *, is_for_all: bool) -> str:
    """Of a form that was checked. Does nothing if the id is registered already.

    Returns the secret, which is not stored. Raises TooManyEndpoints.
    """
    salt = secrets.new_salt()
    with atomic():
        execute(LOCK_OWNER, [owner]).close()
        ((count,),) = rows(COUNT, [owner])
        if count >= settings.webhook_endpoints_per_owner():
            raise TooManyEndpoints(f"Maximum: {settings.webhook_endpoints_per_owner()}.")
        columns = [owner, is_for_all, form.url, _json(form.types), form.description]
        execute(REGISTER, [id_, *columns, log.fence(), *salt]).close()
    logger.info("webhook endpoint %s registered for %s", id_, owner)
    return secrets.secret(salt)


def change(id_: UUID, form: Form, *, seen: Container[int] | None = None) -> int:
    """Of a form that was checked. seen: the versions that the caller knows, if not None. Returns
    the new version. Raises NoSuchEndpoint, Stale."""
    with atomic():
        _lock(id_, seen)
        return _version(CHANGE, [form.url, _json(form.types), form.description, id_])


def rotate(id_: UUID, *, seen: Container[int] | None = None) -> int:
    """A new secret. The former one stays valid for a time; of an earlier rotation in that time, the
    secret before it ends now. Returns the new version. Raises as change does."""
    with atomic():
        _lock(id_, seen)
        return _version(ROTATE, [settings.webhook_overlap(), *secrets.new_salt(), id_])


def disable(id_: UUID, reason: str, *, seen: Container[int] | None = None) -> int:
    """Deliveries wait, until they are too old. Returns the new version. Raises as change does."""
    with atomic():
        version, status = _lock(id_, seen)
        return version if status == DISABLED else _version(DISABLE, [reason, id_])


def enable(id_: UUID, *, seen: Container[int] | None = None) -> int:
    """Returns the new version. Raises as change does."""
    with atomic():
        version, status = _lock(id_, seen)
        transaction.on_commit(wakeup.wake_workers)
        return version if status == ENABLED else _version(ENABLE, [id_])


def delete(id_: UUID, *, seen: Container[int] | None = None) -> int:
    """With its deliveries. Returns the last version. Raises as change does."""
    with atomic():
        _lock(id_, seen)
        return _version(DELETE, [id_])


def find(id_: UUID) -> WebhookEndpoint | None:
    """None if it was deleted."""
    return WebhookEndpoint.objects.filter(pk=id_).exclude(status=DELETED).first()


def secret_of(endpoint: WebhookEndpoint) -> str:
    """The current one. Raises KeyMissing."""
    return secrets.secret(Salt(endpoint.salt, endpoint.key_id))


def any_enabled() -> bool:
    return bool(rows(ANY_ENABLED))


def matching(owners: Collection[str], types: Collection[str]) -> list[Match]:
    """Locks the enabled endpoints that get events of these owners, or of all, and of these
    types."""
    found = rows(MATCHING, [list(owners), [*types, ALL_TYPES]])
    return [Match(*row) for row in found]


def disable_without_account() -> int:
    """Disable the endpoints whose owner may no longer get webhooks, or no longer those of all.
    Returns how many."""
    owners = [owner for (owner,) in rows(OWNERS)]
    known, count = receivers(owners), 0
    for owner in owners:
        receiver = known.get(owner)
        if receiver is None or not receiver.sees_all:
            count += len(rows(DISABLE_OF_OWNERS, [owner, receiver is not None]))
    return count


def untold(limit: int) -> list[Untold]:
    return [Untold(*row) for row in rows(UNTOLD, [limit])]


def note_told(id_: UUID) -> None:
    execute(TELL, [id_]).close()


def _lock(id_: UUID, seen: Container[int] | None) -> tuple[int, str]:
    """Version and status."""
    found = rows(LOCK, [id_])
    if not found:
        raise NoSuchEndpoint
    ((version, status),) = found
    if seen is not None and version not in seen:
        raise Stale(f"webhook endpoint {id_}", version)
    return version, status


def _version(statement: str, params: Sequence[Any]) -> int:
    ((version,),) = rows(statement, params)
    return int(version)


def _json(types: Sequence[str]) -> str:
    return encode_json(list(types)).decode()
