"""Work that does not get done: parked messages, sagas that wait, rebuilds that stopped."""

from collections.abc import Iterator
from typing import NamedTuple

from eventstore.outbox import parked as parked_messages
from eventstore.postgres import rows
from eventstore.privacy import personal_data
from eventstore.privacy.personal_data import Trouble
from eventstore.projections import rebuild
from eventstore.sagas import NEEDS_ATTENTION

from .findings import CRITICAL, WARNING, Finding, Limits
from .workers import is_worker_alive

PARKED = """
    SELECT subscription, count(*), count(*) FILTER (WHERE dead),
           min(parked.position) FILTER (WHERE dead),
           (array_agg(error ORDER BY parked.position) FILTER (WHERE dead))[1],
           count(*) FILTER (WHERE overdue), min(parked.position) FILTER (WHERE overdue),
           count(*) FILTER (WHERE failing), min(parked.position) FILTER (WHERE failing),
           coalesce(max(attempts) FILTER (WHERE failing), 0),
           extract(epoch FROM now() - min(parked_at) FILTER (WHERE failing))::integer,
           extract(epoch FROM min(due_at) FILTER (WHERE failing) - now())::integer
    FROM (SELECT * FROM eventstore_parked OFFSET 0) AS parked
    CROSS JOIN LATERAL (
        SELECT status = 'dead' AS dead,
               due_at < now() - %s AND parked.subscription = ANY(ARRAY(
                   SELECT name FROM eventstore_subscription WHERE NOT paused
               )) AS overdue,
               parked_at < now() - %s AND attempts > 1 AND (
                   status IN ('failed', 'leased') AND traceback <> ''
                   OR status = 'waiting' AND error = '' AND due_at IS NOT NULL
               ) AS failing
    ) AS signs
    GROUP BY subscription
    ORDER BY subscription
"""
# The status is a literal: a generic plan for a parameter could not use the partial index.
ATTENTIVE = f"""
    SELECT saga, count(*), min(key)
    FROM (
        SELECT saga, key FROM eventstore_saga WHERE status = '{NEEDS_ATTENTION}' ORDER BY id
    ) AS waiting
    GROUP BY saga
    ORDER BY saga
"""
LATE = """
    SELECT saga, key, extract(epoch FROM now() - deadline_at)::integer
    FROM eventstore_saga
    WHERE deadline_at < now() - %s
    ORDER BY deadline_at
    LIMIT 1
"""
# In its first minute, a rebuild whose swap is blocked by readers is not worth a warning.
BLOCKED_SECONDS = 60.0


class Parked(NamedTuple):
    """The parked messages of a subscription: how many, and the first dead, overdue and failing
    ones. tries: the most attempts of one that fails. failing_seconds: since the first of them was
    parked. next_seconds: until one of them is tried again."""

    subscription: str
    messages: int
    dead: int
    first_dead: int
    first_error: str
    overdue: int
    first_overdue: int
    failing: int
    first_failing: int
    tries: int
    failing_seconds: int
    next_seconds: int


class Attentive(NamedTuple):
    saga: str
    processes: int
    first_key: str


class Late(NamedTuple):
    """seconds: since the deadline."""

    saga: str
    key: str
    seconds: int


def parked(limits: Limits) -> Iterator[Finding]:
    for row in rows(PARKED, [limits.lease, limits.failing]):
        each = Parked(*row)
        name = each.subscription
        if each.dead:
            position = each.first_dead
            (masked,) = personal_data.of_troubles([Trouble(position, each.first_error)])
            yield Finding(
                check="dead-letters",
                severity=WARNING,
                what=f"{name} has {each.dead} dead letters.",
                culprit=f"position {position}: {masked.error}",
                why="They and the messages behind them in order wait for an operator.",
                mend=f"manage.py dead_letters show {name} {position}; then retry or discard it",
                subscription=name,
            )
        if each.failing:
            yield _failing(each)
        if each.messages >= limits.parked:
            yield Finding(
                check="parked",
                severity=WARNING,
                what=f"{name} has {each.messages} parked messages.",
                culprit=f"{name}, or the provider that it calls",
                why="Something fails again and again.",
                mend=f"manage.py dead_letters list {name}",
                subscription=name,
            )
        if each.overdue and is_worker_alive(limits):
            yield Finding(
                check="lease",
                severity=WARNING,
                what=f"{each.overdue} messages or calls of {name} are due, but no worker retries"
                " them.",
                culprit=f"position {each.first_overdue}",
                why="Their orders do not move.",
                mend="manage.py work --once; and look in the workers' log for the reason why they"
                f" do not deliver to {name}",
                subscription=name,
            )


def _failing(each: Parked) -> Finding:
    name = each.subscription
    return Finding(
        check="failing",
        severity=WARNING,
        what=f"{each.failing} messages or calls of {name} have failed for"
        f" {each.failing_seconds} s, up to {each.tries} times; the next attempt is in"
        f" {max(0, each.next_seconds)} s.",
        culprit=f"position {each.first_failing} of {name}, or the provider that it calls",
        why=f"Their orders wait. After {parked_messages.ATTEMPTS} attempts, within about 15"
        " minutes, each is a dead letter.",
        mend=f"manage.py dead_letters list {name}; repair the cause, then retry them to wait no"
        " longer",
        subscription=name,
    )


def sagas_that_need_attention(limits: Limits) -> Iterator[Finding]:
    for row in rows(ATTENTIVE):
        saga, count, key = Attentive(*row)
        yield Finding(
            check="saga-attention",
            severity=WARNING,
            what=f"{count} processes of {saga} wait for an operator.",
            culprit=f"{key} and others" if count > 1 else key,
            why="An undo step was refused, or a fact does not fit the process: money or goods may"
            " be in the wrong place.",
            mend=f"manage.py sagas show {saga} {key}; then retry, compensate or skip, with --at"
            " POSITION --reason WHY",
            saga_key=key,
        )


def late_deadlines(limits: Limits) -> Iterator[Finding]:
    if not is_worker_alive(limits):
        return
    for row in rows(LATE, [limits.deadline]):
        saga, key, seconds = Late(*row)
        yield Finding(
            check="saga-late",
            severity=CRITICAL,
            what=f"A deadline of {saga} passed {seconds} s ago and was not delivered.",
            culprit=f"{saga} {key}",
            why="Processes that wait for an answer in vain do not end.",
            mend="manage.py work --once; and look in the workers' log for the reason",
            saga_key=key,
        )


def rebuilds(limits: Limits) -> Iterator[Finding]:
    for each in rebuild.latest_of_each().values():
        if each.state == "failed":
            yield Finding(
                check="rebuild",
                severity=WARNING,
                what=f"The last rebuild of {each.subscription} failed.",
                culprit=personal_data.of_rebuild(each.error),
                why="The live table is unchanged, with the errors that the rebuild was to correct.",
                mend=f"Fix the code, then manage.py rebuild_projection {each.subscription}",
                subscription=each.subscription,
            )
        elif each.is_open and (
            (each.waits_for and each.age > BLOCKED_SECONDS)
            or each.silent > limits.rebuild.total_seconds()
        ):
            yield Finding(
                check="rebuild",
                severity=WARNING,
                what=f"The rebuild of {each.subscription} ({each.state}) makes no progress.",
                culprit=each.waits_for
                or f"started by {each.who or 'unknown'}, stopped at position {each.position}",
                why="Its shadow table takes disk space, and no other rebuild can begin.",
                mend=f"manage.py rebuild_projection {each.subscription}, or --cancel",
                subscription=each.subscription,
            )


CHECKS = (parked, sagas_that_need_attention, late_deadlines, rebuilds)
