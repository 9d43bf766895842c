"""Delivery: who holds the fence or a subscription, which subscription stands still, what is parked,
who is not at work."""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings

from eventstore import registry
from eventstore import settings as ours
from eventstore.delivery import heartbeats
from eventstore.log import fence_monitor
from eventstore.operations import lag
from eventstore.outbox import cursors
from eventstore.postgres import rows
from eventstore.privacy import personal_data
from eventstore.projections import rebuild
from eventstore.sagas import NEEDS_ATTENTION

from .findings import CRITICAL, WARNING, Finding, Limits

# What a worker holds is passed over by the lock, not waited for.
FREE = "SELECT name FROM eventstore_subscription FOR SHARE SKIP LOCKED"
SUBSCRIPTIONS = """
    SELECT name, position, paused, extract(epoch
        FROM clock_timestamp() - moved_at)::double precision
    FROM eventstore_subscription
    ORDER BY name
"""
SUBSCRIPTION_HOLDERS = f"""
    SELECT DISTINCT held.pid, coalesce(activity.usename, prepared.owner),
        coalesce(activity.application_name, ''),
           coalesce(activity.state, 'prepared'), coalesce(activity.query, ''),
           extract(epoch FROM clock_timestamp() - began)::integer, coalesce(prepared.gid, '')
    FROM pg_locks AS held
    {fence_monitor.HELD_BY}
    CROSS JOIN LATERAL (SELECT coalesce(activity.xact_start,
        prepared.prepared) AS began) AS transaction
    WHERE held.relation = 'eventstore_subscription'::regclass AND held.granted
      AND held.mode IN ('RowShareLock', 'RowExclusiveLock') AND held.pid IS DISTINCT
          FROM pg_backend_pid()
      AND began < clock_timestamp() - %s
"""
PARKED = """
    SELECT subscription, count(*), count(*) FILTER (WHERE dead),
        min(parked.position) FILTER (WHERE dead),
           (array_agg(error ORDER BY parked.position) FILTER (WHERE dead))[1],
           count(*) FILTER (WHERE overdue), min(parked.position) FILTER (WHERE overdue)
    FROM (SELECT * FROM eventstore_parked OFFSET 0) AS parked
    CROSS JOIN LATERAL (
        SELECT status = 'dead' AS dead,
               due_at < now() - %s AND parked.subscription = ANY(ARRAY(
                   SELECT name FROM eventstore_subscription WHERE NOT paused
               )) AS overdue
    ) AS signs
    GROUP BY subscription
    ORDER BY subscription
"""
# The status stands in the text itself: a plan for any status could not take the index of those that
# wait.
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
UNCLEARED = """
    SELECT extract(epoch FROM now() - created_at)::integer, position
    FROM (
        SELECT position, created_at
        FROM eventstore_outbox
        WHERE position > (SELECT position FROM eventstore_subscription
            WHERE name = 'eventstore.outbox')
          AND position <= (SELECT min(position) FROM eventstore_subscription
              WHERE name <> 'eventstore.outbox')
        ORDER BY position
        LIMIT 1
    ) AS oldest
    WHERE created_at < now() - %s
"""
PAUSED_BY = """
    SELECT who, reason
    FROM eventstore_operator_action
    WHERE subject = %s AND action = 'pause'
    ORDER BY id DESC
    LIMIT 1
"""


# For a message to be taken.
ALARM_SECONDS = 2.0


def fence(limits: Limits) -> Iterator[Finding]:
    for held in fence_monitor.fence_holders(longer_than=limits.fence):
        yield Finding(
            "fence",
            CRITICAL,
            f"An appender has not committed for {held.seconds:.1f} s ({held.state}).",
            held.who,
            "No subscription sees what was appended after it began.",
            held.end,
        )


def held_subscriptions(limits: Limits) -> Iterator[Finding]:
    holders = [fence_monitor.FenceHolder(*row) for row in rows(SUBSCRIPTION_HOLDERS, [limits.held])]
    held = (
        sorted({name for name, *_ in rows(SUBSCRIPTIONS)} - {name for (name,) in rows(FREE)})
        if holders
        else []
    )
    for each in holders if held else []:
        yield Finding(
            "held-lane",
            CRITICAL,
            f"A transaction has held {', '.join(held)} for {each.seconds} s ({each.state}).",
            each.who,
            "Nobody else can deliver to it.",
            each.end,
        )


def dead_subscriptions(limits: Limits) -> Iterator[Finding]:
    """Work waits, nobody holds the subscription, and it does not move. Without any worker that is
    no wonder; see workers."""
    if not _at_work(limits):
        return
    free, patience = {name for (name,) in rows(FREE)}, limits.still.total_seconds()
    still = {name: seconds for name, _, _, seconds in rows(SUBSCRIPTIONS)}
    for each in lag.lags():
        if (
            each.name in free
            and not each.paused
            and each.events
            and min(each.seconds, still[each.name]) > patience
        ):
            yield Finding(
                "dead-lane",
                CRITICAL,
                f"{each.name} has {each.amount} messages ahead and has not moved for"
                f" {still[each.name]:.0f} s.",
                f"{each.name} at position {each.position}; the workers' log says what they run"
                " into",
                "What it is to do is not done.",
                f"Look for {each.name} in the workers' log; manage.py work --once delivers here and"
                " shows the error.",
            )


def paused_subscriptions(limits: Limits) -> Iterator[Finding]:
    for name, position, paused, _ in rows(SUBSCRIPTIONS):
        if paused:
            who, reason = next(iter(rows(PAUSED_BY, [name])), ("somebody", ""))
            yield Finding(
                "paused-lane",
                WARNING,
                f"{name} is paused at position {position}.",
                f"{who}{f' ({reason})' if reason else ''}",
                "It takes nothing until it is told to go on; what it has not passed stays in the"
                " outbox.",
                f"manage.py subscriptions resume {name}",
            )


def parked(limits: Limits) -> Iterator[Finding]:
    for name, count, dead, first, error, overdue, late in rows(PARKED, [limits.lease]):
        if dead:
            (trouble,) = personal_data.of_troubles([personal_data.Trouble(first, error)])
            yield Finding(
                "dead-letters",
                WARNING,
                f"{name} has given up {dead} messages.",
                f"position {first}: {trouble.error}",
                "They, and what must stay in order behind them, wait for a person.",
                f"manage.py dead_letters show {name} {first}; then retry or discard it",
            )
        if count >= limits.parked:
            yield Finding(
                "parked",
                WARNING,
                f"{name} has parked {count} messages.",
                f"{name}, or who it calls",
                "Something fails again and again.",
                f"manage.py dead_letters list {name}",
            )
        if overdue and _at_work(limits):
            yield Finding(
                "lease",
                WARNING,
                f"{overdue} messages or calls of {name} should have been tried again, and nobody"
                " has taken them over.",
                f"position {late}",
                "Their orders wait for what nobody does.",
                f"manage.py work --once; and see why the workers do not take {name}",
            )


def sagas(limits: Limits) -> Iterator[Finding]:
    for name, count, key in rows(ATTENTIVE):
        yield Finding(
            "saga-attention",
            WARNING,
            f"{count} processes of {name} wait for a person.",
            f"{key}" + (" and others" if count > 1 else ""),
            "A step back was refused, or a fact came that does not fit: money or goods are not"
            " where they should be.",
            f"manage.py sagas show {name} {key}; then retry, compensate or skip --at its position"
            " --reason …",
        )
    for name, key, seconds in rows(LATE, [limits.deadline]) if _at_work(limits) else []:
        yield Finding(
            "saga-late",
            CRITICAL,
            f"A deadline of {name} passed {seconds} s ago and was not told.",
            f"{name} {key}",
            "What should end for want of an answer does not end.",
            "manage.py work --once; and see in the workers' log why they do not",
        )


def uncleared(limits: Limits) -> Iterator[Finding]:
    if not _at_work(limits):
        return
    retention = ours.outbox_retention() + limits.uncleared
    for seconds, position in rows(UNCLEARED, [retention]):
        yield Finding(
            "outbox",
            WARNING,
            f"The outbox holds what every subscription passed {seconds} s ago.",
            f"position {position}; the task eventstore.clear_outbox does not run or fails",
            "The table grows for ever.",
            "Run the beat with the schedule of eventstore.defaults.beat_schedule()",
        )


def retired_subscriptions(limits: Limits) -> Iterator[Finding]:
    known = {*registry.subscriptions(), cursors.SNAPSHOTS, cursors.CLEARED}
    for name, position, _, _ in rows(SUBSCRIPTIONS):
        if name not in known:
            yield Finding(
                "retired-lane",
                WARNING,
                f"{name} has a cursor at {position} and is not in the wiring.",
                name,
                "The outbox is kept from its cursor on, for ever.",
                "When no older code needs it: DELETE FROM eventstore_subscription WHERE name ="
                f" '{name}';",
            )


def workers(limits: Limits) -> Iterator[Finding]:
    if not _at_work(limits):
        waiting = sorted(cursors.work())
        yield Finding(
            "no-worker",
            CRITICAL,
            "No worker has been heard of.",
            f"nobody delivers to {', '.join(waiting)}" if waiting else "nothing waits yet",
            "Orders are taken and go no further.",
            "celery -A config worker -c 2 --without-gossip --without-mingle (or manage.py work)",
        )
    for each in heartbeats.heartbeats():
        if (
            each.kind == heartbeats.WORKER
            and each.connected
            and each.seconds > limits.silent.total_seconds()
        ):
            yield Finding(
                "deaf-worker",
                WARNING,
                f"A worker is connected and has done nothing for {each.seconds:.0f} s.",
                each.name,
                "It holds a place, a connection, and perhaps a subscription.",
                f"kill -9 {each.name.rpartition(':')[2]} on {each.name.rpartition(':')[0]}",
            )


def beat(limits: Limits) -> Iterator[Finding]:
    if not any(
        each.kind == heartbeats.BEAT and _is_fresh(each, limits) for each in heartbeats.heartbeats()
    ):
        yield Finding(
            "no-beat",
            WARNING,
            "The beat has not been heard of.",
            "celery beat",
            "Workers look for work themselves, but slower; the outbox is not cleared, snapshots are"
            " not taken.",
            "celery -A config beat (or manage.py work, which needs none)",
        )


def rebuilds(limits: Limits) -> Iterator[Finding]:
    told: set[str] = set()
    for each in rebuild.latest():
        if each.subscription in told:
            continue
        told.add(each.subscription)
        if each.state == "failed":
            yield Finding(
                "rebuild",
                WARNING,
                f"The last rebuild of {each.subscription} failed.",
                personal_data.of_rebuild(each.error),
                "The live table is as it was, with what was wrong with it.",
                f"Mend the code, then manage.py rebuild_projection {each.subscription}",
            )
        elif each.is_open and (
            _is_kept_waiting(each) or each.silent > limits.rebuild.total_seconds()
        ):
            yield Finding(
                "rebuild",
                WARNING,
                f"The rebuild of {each.subscription} ({each.state}) goes no further.",
                each.waits_for
                or f"begun by {each.who or 'somebody'} and left at position {each.position}",
                "Its shadow takes room, and no other rebuild can begin.",
                f"manage.py rebuild_projection {each.subscription}, or --cancel",
            )


def broker(limits: Limits, *, reach: Callable[[str], None] | None = None) -> Iterator[Finding]:
    if not ours.wake_workers():
        return
    url = str(getattr(settings, "CELERY_BROKER_URL", ""))
    try:
        (reach or _reach)(url)
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises
        yield Finding(
            "broker",
            WARNING,
            f"The broker cannot be reached: {error}",
            url.rpartition("@")[2],
            "Nothing is lost; workers look for work themselves, every few seconds.",
            "Start Redis or RabbitMQ again, or mend CELERY_BROKER_URL.",
        )


def _reach(url: str) -> None:
    from celery import current_app  # a project without Celery has no broker

    with current_app.connection_for_write(
        url, connect_timeout=2, transport_options=_hasty()
    ) as connection:
        connection.ensure_connection(max_retries=1, timeout=2)


def broker_alarm(limits: Limits, *, told: Callable[[], str] | None = None) -> Iterator[Finding]:
    """RabbitMQ lets everybody connect, and takes nothing, while it is short of memory or disk."""
    if (
        ours.wake_workers()
        and str(settings.CELERY_BROKER_URL).startswith(("amqp", "pyamqp"))
        and (told or _alarm)()
    ):
        yield Finding(
            "broker-alarm",
            WARNING,
            "The broker takes no messages: it has raised an alarm, of its memory or its disk.",
            str(settings.CELERY_BROKER_URL).rpartition("@")[2],
            "Nothing is lost; workers look for work themselves. The beat waits with it, so nothing"
            " is cleared.",
            "rabbitmqctl status tells which; give it room, or raise vm_memory_high_watermark or"
            " disk_free_limit.",
        )


def _alarm() -> str:
    """What a broker says, or does not say, to a message for a queue that is not there, which else
    it would drop."""
    from celery import current_app

    blocked: list[str] = []
    options = _hasty() | {"confirm_publish": True, "on_blocked": blocked.append}
    asking = current_app.connection_for_write(connect_timeout=2, transport_options=options)
    try:
        asking.ensure_connection(max_retries=1, timeout=2)
        channel = asking.default_channel
        message = channel.prepare_message(b"", properties={})
        channel.basic_publish(message, routing_key="eventstore.doctor", timeout=ALARM_SECONDS)
    except TimeoutError:
        return "no answer"
    except Exception:  # noqa: BLE001  whatever the broker's client raises: one that is away is told of by broker()
        return ""
    finally:
        if asking.connected:
            # A broker that blocks publishers does not answer a close either.
            asking.connection.collect()
    return "".join(blocked)


def _hasty() -> dict[str, Any]:
    return {"socket_connect_timeout": 2, "socket_timeout": 2}


def _is_kept_waiting(each: rebuild.Rebuilding) -> bool:
    return bool(each.waits_for) and each.age > 60.0


def _at_work(limits: Limits) -> bool:
    return any(
        each.kind == heartbeats.WORKER and _is_fresh(each, limits)
        for each in heartbeats.heartbeats()
    )


def _is_fresh(each: heartbeats.Heartbeat, limits: Limits) -> bool:
    return each.seconds <= limits.silent.total_seconds()


CHECKS = (
    fence,
    held_subscriptions,
    dead_subscriptions,
    paused_subscriptions,
    parked,
    sagas,
    uncleared,
    retired_subscriptions,
    workers,
    beat,
    rebuilds,
    broker,
    broker_alarm,
)
