"""Deliveries: which message goes to which endpoint, the lease of each attempt, and its answer.

A lease ends without being renewed, because a call is bounded in time. The number of the attempt is
the token of the lease: an answer that comes after another sender has taken over is ignored.
"""

import logging
import random
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import NamedTuple
from uuid import UUID

from django.db import transaction

from eventstore import settings
from eventstore.aggregate import CommandRejected
from eventstore.models import WebhookDelivery
from eventstore.outbox import wakeup
from eventstore.postgres import atomic, delete_older, execute, rows

from . import endpoints, schedule
from .endpoints import DISABLED, ENABLED, FAILING, GONE
from .schedule import Answer
from .secrets import Salt

logger = logging.getLogger(__name__)

WAITING, LEASED, DELIVERED, FAILED = WebhookDelivery.Status.values
# Beyond the time limit of a call: for what comes before and after it.
LEASE_MARGIN = timedelta(seconds=5)
# What is so much older than its last attempt should have been is given up: its endpoint is
# disabled, or rests.
OVERDUE = timedelta(minutes=10)
BATCH = 1000

STORE_MESSAGES = """
    INSERT INTO eventstore_webhook_message (id, type, key, position, body)
    SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[], %s::text[])
    ON CONFLICT DO NOTHING
"""
# A message is queued for an endpoint once only, also after it was sent.
ADD = f"""
    WITH created AS (
        INSERT INTO eventstore_webhook_delivery
            (endpoint_id, message_id, key, bytes, status, error, until, ended_at)
        SELECT endpoint, message, key, bytes,
               CASE WHEN error = '' THEN 'waiting' ELSE 'failed' END, error, now() + %s,
               CASE WHEN error <> '' THEN now() END
        FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::integer[], %s::text[])
            AS wanted(endpoint, message, key, bytes, error)
        ON CONFLICT DO NOTHING
        RETURNING endpoint_id, bytes, status
    )
    {endpoints.COUNT_QUEUED}
"""
IS_DUE = """
    SELECT FROM eventstore_webhook_endpoint AS endpoint
    WHERE status = 'enabled' AND queued > 0 AND rest_until <= now() AND EXISTS (
        SELECT FROM eventstore_webhook_delivery
        WHERE endpoint_id = endpoint.id AND status IN ('waiting', 'leased') AND due_at <= now()
    )
    LIMIT 1
"""
# Endpoints take turns: the one that was served longest ago is first, and each gets one call before
# any gets a second. An endpoint that fails gets one call at a time. A delivery waits for an earlier
# one of its key, unless that one has failed already. A lease that ended without an answer leaves a
# trace among the attempts.
CLAIM = f"""
    WITH ready AS MATERIALIZED (
        SELECT id, url, salt, key_id, former_salt, former_key_id, served_at,
               former_until > now() AS is_former_valid,
               CASE WHEN failures > 0 THEN 1 ELSE %s END - busy.calls AS free
        FROM eventstore_webhook_endpoint AS endpoint
        CROSS JOIN LATERAL (
            SELECT count(*) AS calls
            FROM eventstore_webhook_delivery
            WHERE endpoint_id = endpoint.id AND status = 'leased' AND due_at > now()
        ) AS busy
        WHERE status = 'enabled' AND queued > 0 AND rest_until <= now() AND EXISTS (
            SELECT FROM eventstore_webhook_delivery
            WHERE endpoint_id = endpoint.id AND status IN ('waiting', 'leased') AND due_at <= now()
        ) AND CASE WHEN failures > 0 THEN 1 ELSE %s END > busy.calls
          AND (id = ANY(%s::uuid[])) = %s
        ORDER BY served_at
        LIMIT %s
        FOR NO KEY UPDATE OF endpoint SKIP LOCKED
    ), due AS MATERIALIZED (
        SELECT head.id, head.status, head.attempts, ready.id AS endpoint_id
        FROM ready
        CROSS JOIN LATERAL (
            SELECT id, status, attempts, row_number() OVER (ORDER BY due_at, id) AS number
            FROM eventstore_webhook_delivery AS delivery
            WHERE endpoint_id = ready.id AND status IN ('waiting', 'leased') AND due_at <= now()
              AND NOT EXISTS (
                  SELECT FROM eventstore_webhook_delivery AS earlier
                  WHERE earlier.endpoint_id = ready.id AND earlier.key = delivery.key
                    AND earlier.id < delivery.id AND earlier.status IN ('waiting', 'leased')
                    AND (earlier.attempts = 0 OR earlier.status = 'leased')
              )
            ORDER BY due_at, id
            LIMIT ready.free
        ) AS head
        ORDER BY number, served_at
        LIMIT %s
    ), lost AS (
        INSERT INTO eventstore_webhook_attempt (delivery_id, number, at, seconds, error)
        SELECT id, attempts, now(), 0, 'The sender ended before it recorded the answer.'
        FROM due
        WHERE status = 'leased'
        ON CONFLICT DO NOTHING
    ), served AS (
        {endpoints.NOTE_SERVED}
    ), leased AS (
        UPDATE eventstore_webhook_delivery AS delivery
        SET status = 'leased', attempts = delivery.attempts + 1, due_at = now() + %s
        FROM due
        -- Not if another sender has taken it since this statement began.
        WHERE delivery.id = due.id AND delivery.id = ANY(ARRAY(SELECT id FROM due))
          AND delivery.attempts = due.attempts AND delivery.status = due.status
        RETURNING delivery.id, delivery.endpoint_id, delivery.message_id, delivery.attempts
    )
    SELECT leased.id, leased.endpoint_id, leased.message_id, leased.attempts, message.body,
           ready.url, salt, key_id, former_salt, former_key_id, coalesce(is_former_valid, false)
    FROM leased
    JOIN eventstore_webhook_message AS message ON message.id = leased.message_id
      AND message.id = ANY(ARRAY(SELECT message_id FROM leased))
    JOIN ready ON ready.id = leased.endpoint_id
    ORDER BY leased.id
"""
# Deliveries that succeeded, of locked endpoints. One whose lease was lost is left out.
RECORD_SUCCESSES = f"""
    WITH answered AS MATERIALIZED (
        SELECT *
        FROM unnest(
            %s::bigint[], %s::integer[], %s::double precision[], %s::integer[], %s::text[]
        ) AS answered(delivery, attempt, seconds, status, response)
    ), held AS MATERIALIZED (
        SELECT delivery.id, endpoint_id, bytes, attempt, seconds, answered.status, response
        FROM eventstore_webhook_delivery AS delivery
        JOIN answered ON answered.delivery = delivery.id AND attempt = delivery.attempts
        WHERE delivery.id = ANY(%s) AND delivery.status = 'leased'
        FOR UPDATE OF delivery
    ), settled AS (
        UPDATE eventstore_webhook_delivery
        SET status = 'delivered', due_at = now(), error = '', ended_at = now()
        WHERE id = ANY(ARRAY(SELECT id FROM held))
    ), recorded AS (
        INSERT INTO eventstore_webhook_attempt
            (delivery_id, number, at, seconds, status, error, response)
        SELECT id, attempt, now() - make_interval(secs => seconds), seconds, status, '', response
        FROM held
        ON CONFLICT DO NOTHING
    ), noted AS (
        {endpoints.NOTE_SUCCESSES}
    )
    SELECT count(*) FROM held
"""
HELD = """
    SELECT attempts - resent_after, extract(epoch FROM until - now())::double precision, now(),
           bytes
    FROM eventstore_webhook_delivery
    WHERE id = %s AND attempts = %s AND status = 'leased'
    FOR UPDATE
"""
SETTLE = """
    UPDATE eventstore_webhook_delivery
    SET status = %s, due_at = now() + %s, error = %s, ended_at = CASE WHEN %s THEN now() END
    WHERE id = %s
"""
RECORD_ATTEMPT = """
    INSERT INTO eventstore_webhook_attempt
        (delivery_id, number, at, seconds, status, error, response)
    VALUES (%s, %s, now() - %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
"""
SEND_AGAIN = """
    UPDATE eventstore_webhook_delivery AS delivery
    SET status = 'waiting', due_at = now(), until = now() + %s, resent_after = attempts, error = '',
        ended_at = NULL
    FROM (SELECT id, status FROM eventstore_webhook_delivery WHERE id = %s FOR UPDATE) AS before
    WHERE delivery.id = before.id AND delivery.endpoint_id = %s AND before.status <> 'leased'
    RETURNING bytes, before.status
"""
FAILED_SINCE = """
    SELECT id
    FROM eventstore_webhook_delivery
    WHERE endpoint_id = %s AND status = 'failed' AND created_at >= %s
    ORDER BY id
    LIMIT %s
"""
OVERDUE_ENDPOINTS = """
    SELECT DISTINCT endpoint_id
    FROM (
        SELECT endpoint_id
        FROM eventstore_webhook_delivery
        WHERE status IN ('waiting', 'leased') AND until < now() - %s AND due_at < now()
        ORDER BY until
        LIMIT %s
    ) AS overdue
"""
GIVE_UP = f"""
    WITH given_up AS (
        UPDATE eventstore_webhook_delivery
        SET status = 'failed', ended_at = now(),
            error = 'Not delivered in time: the endpoint was disabled, or rested after failures.'
        WHERE id = ANY(ARRAY(
            SELECT id FROM eventstore_webhook_delivery
            WHERE endpoint_id = %s AND status IN ('waiting', 'leased') AND until < now() - %s
              AND due_at < now()
            ORDER BY id
            LIMIT %s
        ))
        RETURNING bytes
    )
    {endpoints.COUNT_GIVEN_UP}
"""
FORGET_DELIVERIES = """
    WITH old AS MATERIALIZED (
        SELECT id FROM eventstore_webhook_delivery
        WHERE status IN ('delivered', 'failed') AND ended_at < now() - %s
        ORDER BY ended_at
        LIMIT %s
    ), attempts AS (
        DELETE FROM eventstore_webhook_attempt WHERE delivery_id = ANY(ARRAY(SELECT id FROM old))
    )
    DELETE FROM eventstore_webhook_delivery WHERE id = ANY(ARRAY(SELECT id FROM old))
"""
FORGET_MESSAGES = """
    DELETE FROM eventstore_webhook_message
    WHERE id = ANY(ARRAY(
        SELECT id FROM eventstore_webhook_message AS message
        WHERE created_at < now() - %s AND NOT EXISTS (
            SELECT FROM eventstore_webhook_delivery WHERE message_id = message.id
        )
        ORDER BY created_at
        LIMIT %s
    ))
"""
# Of endpoints that were deleted; the message stays until it is old.
PURGE_DELIVERIES = """
    WITH old AS MATERIALIZED (
        SELECT delivery.id FROM eventstore_webhook_endpoint AS endpoint
        CROSS JOIN LATERAL (
            SELECT id FROM eventstore_webhook_delivery WHERE endpoint_id = endpoint.id ORDER BY id
        ) AS delivery
        WHERE endpoint.status = 'deleted' AND endpoint.disabled_at < now() - %s
        LIMIT %s
    ), attempts AS (
        DELETE FROM eventstore_webhook_attempt WHERE delivery_id = ANY(ARRAY(SELECT id FROM old))
    )
    DELETE FROM eventstore_webhook_delivery WHERE id = ANY(ARRAY(SELECT id FROM old))
"""
# A call of a deleted endpoint that was in progress has ended by then.
PURGED_AFTER = timedelta(minutes=2)


class Outgoing(NamedTuple):
    """A message as it is sent. key: its stream, the order key."""

    id: UUID
    type: str
    key: str
    position: int
    body: str

    @property
    def bytes(self) -> int:
        return len(self.body.encode())


class NewDelivery(NamedTuple):
    """A message for an endpoint. error: why it is not sent; "" if it is."""

    endpoint: UUID
    message: UUID
    key: str
    bytes: int
    error: str = ""


class Claimed(NamedTuple):
    """A delivery under a lease. attempt: its number, the token. salts: of the valid secrets."""

    id: int
    endpoint: UUID
    message: UUID
    attempt: int
    body: str
    url: str
    salts: Sequence[Salt]


class NoSuchDelivery(LookupError):
    """The endpoint has no such delivery."""


class QueueFull(CommandRejected):
    """Too much waits for this webhook endpoint already."""


def add(messages: Sequence[Outgoing], new: Sequence[NewDelivery]) -> None:
    """Store messages and deliveries, in the transaction of the caller, who holds the endpoints."""
    if new:
        execute(STORE_MESSAGES, [list(column) for column in zip(*messages, strict=True)]).close()
        columns = [list(column) for column in zip(*new, strict=True)]
        execute(ADD, [settings.webhook_retry(), *columns]).close()


def is_due() -> bool:
    """Whether a call may begin."""
    return bool(rows(IS_DUE))


def lease() -> timedelta:
    return timedelta(seconds=settings.webhook_timeout()) + LEASE_MARGIN


def claim(limit: int, listed: Collection[UUID] = (), *, only: bool = False) -> list[Claimed]:
    """Lease at most so many deliveries that are due, of endpoints in turn: of those listed only, or
    of all others."""
    most = settings.webhook_calls_per_endpoint()
    # More endpoints than calls: the deliveries of some wait for others of their key.
    params = [most, most, list(listed), only, limit * 4, limit, lease()]
    claimed = []
    for *found, salt, key_id, former_salt, former_key_id, is_former_valid in rows(CLAIM, params):
        salts = [Salt(salt, key_id)]
        if is_former_valid:
            salts.append(Salt(former_salt, former_key_id))
        claimed.append(Claimed._make([*found, salts]))
    return claimed


def settle(answered: Sequence[tuple[Claimed, Answer]]) -> int:
    """Record the answers of attempts and what follows from them, in this order; successes in a row
    in one commit. Returns how many: nothing is recorded where the lease was lost."""
    settled = 0
    for is_success, some in groupby(answered, lambda each: each[1].is_success):
        if is_success:
            settled += _record_successes(list(some))
        else:
            settled += sum(_settle_failure(*each) for each in some)
    return settled


def _record_successes(answered: Sequence[tuple[Claimed, Answer]]) -> int:
    ids = [claimed.id for claimed, _ in answered]
    attempts = [claimed.attempt for claimed, _ in answered]
    statuses, seconds, _, responses, _ = map(
        list, zip(*(each for _, each in answered), strict=True)
    )
    with atomic():
        endpoints_ = {claimed.endpoint for claimed, _ in answered}
        execute(endpoints.LOCK_QUEUES, [list(endpoints_)]).close()
        columns = [ids, attempts, seconds, statuses, responses]
        ((count,),) = rows(RECORD_SUCCESSES, [*columns, ids])
    if count < len(ids):
        logger.info("webhooks: %s leases were lost, their answers ignored", len(ids) - count)
    return int(count)


def _settle_failure(claimed: Claimed, answer: Answer) -> bool:
    """False if the lease was lost."""
    with atomic():
        endpoint = rows(endpoints.LOCK_QUEUE, [claimed.endpoint])
        held = rows(HELD, [claimed.id, claimed.attempt])
        if not (endpoint and held):
            logger.info("webhook delivery %s: the lease was lost, the answer ignored", claimed.id)
            return False
        ((status, failures),), ((attempts, left, now, size),) = endpoint, held
        verdict = schedule.judge(
            answer,
            attempts=attempts,
            failures=failures,
            left=left,
            now=now,
            chance=random.random(),  # noqa: S311  jitter
        )
        execute(
            SETTLE,
            [
                FAILED if verdict.ends else WAITING,
                timedelta(seconds=verdict.delay),
                answer.error,
                verdict.ends,
                claimed.id,
            ],
        ).close()
        took = timedelta(seconds=answer.seconds)
        seen = [answer.seconds, answer.status, answer.error, answer.response]
        execute(RECORD_ATTEMPT, [claimed.id, claimed.attempt, took, *seen]).close()
        if status != endpoints.DELETED:
            _note_failure(claimed, answer, verdict, size, is_enabled=status == ENABLED)
    return True


def _note_failure(
    claimed: Claimed, answer: Answer, verdict: schedule.Verdict, size: int, *, is_enabled: bool
) -> None:
    """Disables the endpoint if it is gone, or has failed for too long."""
    rest = timedelta(seconds=verdict.rest)
    gone = [1, size] if verdict.ends else [0, 0]
    ((failures, is_too_long),) = rows(
        endpoints.NOTE_FAILURE,
        [answer.error, rest, *gone, claimed.endpoint, settings.webhook_patience()],
    )
    failing = is_too_long and failures >= schedule.LEAST_FAILURES
    if is_enabled and (verdict.is_gone or failing):
        reason = GONE if verdict.is_gone else FAILING
        endpoints.disable(claimed.endpoint, reason)
        logger.warning("webhook endpoint %s disabled: %s", claimed.endpoint, reason)


def send_again(endpoint: UUID, delivery: int) -> None:
    """Attempt a delivery now, for the full time again; one that waits already is due now.

    Raises NoSuchDelivery, EndpointDisabled, QueueFull.
    """
    with atomic():
        held = rows(endpoints.LOCK_QUEUE, [endpoint])
        if not held or held[0][0] == endpoints.DELETED:
            raise NoSuchDelivery
        if held[0][0] == DISABLED:
            raise endpoints.EndpointDisabled
        found = rows(SEND_AGAIN, [settings.webhook_retry(), delivery, endpoint])
        if not found:
            if not WebhookDelivery.objects.filter(pk=delivery, endpoint=endpoint).exists():
                raise NoSuchDelivery
            return  # it is being sent
        ((size, before),) = found
        added = [0, 0] if before == WAITING else [1, size]
        ((queued,),) = rows(endpoints.QUEUE_ONE, [*added, endpoint])
        if queued > max(settings.webhook_queue_bytes(), size):
            raise QueueFull
        transaction.on_commit(wakeup.wake_workers)


def send_failed_again(endpoint: UUID, since: datetime) -> int:
    """Attempt the deliveries again that have failed and whose event came since, the oldest first:
    at most BATCH, and as many as the queue takes. Returns how many. Raises EndpointDisabled."""
    count = 0
    for (id_,) in rows(FAILED_SINCE, [endpoint, since, BATCH]):
        try:
            send_again(endpoint, id_)
        except QueueFull:
            break
        count += 1
    return count


def give_up_overdue() -> None:
    for (endpoint,) in rows(OVERDUE_ENDPOINTS, [OVERDUE, BATCH]):
        with atomic():
            execute(endpoints.LOCK_QUEUE, [endpoint]).close()
            execute(GIVE_UP, [endpoint, OVERDUE, BATCH, endpoint]).close()


def forget() -> None:
    """Delete what ended long ago, and what is left of deleted endpoints, in batches."""
    retention = settings.webhook_retention()
    delete_older(FORGET_DELIVERIES, retention, batch=BATCH)
    delete_older(PURGE_DELIVERIES, PURGED_AFTER, batch=BATCH)
    delete_older(endpoints.PURGE, PURGED_AFTER, batch=BATCH)
    delete_older(FORGET_MESSAGES, max(retention, settings.webhook_retry()), batch=BATCH)
