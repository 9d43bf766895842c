"""Workers and Celery beat: whether they are alive and working."""

from collections.abc import Iterator
from importlib.util import find_spec

from eventstore.delivery import heartbeats
from eventstore.outbox import cursors

from .findings import CRITICAL, WARNING, Finding, Limits


def missing_workers(limits: Limits) -> Iterator[Finding]:
    if is_worker_alive(limits):
        return
    waiting = ", ".join(sorted(cursors.work()))
    yield Finding(
        check="no-worker",
        severity=CRITICAL,
        what="No worker has sent a heartbeat.",
        culprit=f"no process delivers to {waiting}" if waiting else "no messages are waiting yet",
        why="New events are stored, but no subscription receives them.",
        mend="manage.py work; with Celery, celery -A PROJECT worker",
    )


def stuck_workers(limits: Limits) -> Iterator[Finding]:
    for each in heartbeats.heartbeats():
        if each.kind == heartbeats.WORKER and each.connected and not _is_fresh(each, limits):
            host, _, pid = each.name.rpartition(":")
            yield Finding(
                check="deaf-worker",
                severity=WARNING,
                what=f"A connected worker has sent no heartbeat for {each.seconds:.0f} s.",
                culprit=each.name,
                why="It occupies a connection, and may hold a subscription.",
                mend=f"kill -9 {pid} on {host}",
            )


def missing_beat(limits: Limits) -> Iterator[Finding]:
    """Its heartbeat is a task, which waits behind others: on a busy machine it is late."""
    found = [each.seconds for each in heartbeats.heartbeats() if each.kind == heartbeats.BEAT]
    seconds = min(found, default=None)
    is_late = seconds is None or seconds > limits.beat.total_seconds()
    # Without Celery, workers do what it would send.
    if find_spec("celery") and is_late:
        since = "" if seconds is None else f" for {seconds:.0f} s"
        yield Finding(
            check="no-beat",
            severity=WARNING,
            what=f"Celery beat has sent no heartbeat{since}.",
            culprit="celery beat",
            why="Workers find work by polling, but more slowly. The outbox is not cleared, and"
            " snapshots are not taken.",
            mend="celery -A PROJECT beat (not needed with manage.py work)",
        )


def is_worker_alive(limits: Limits) -> bool:
    return any(
        each.kind == heartbeats.WORKER and _is_fresh(each, limits)
        for each in heartbeats.heartbeats()
    )


def _is_fresh(each: heartbeats.Heartbeat, limits: Limits) -> bool:
    return each.seconds <= limits.silent.total_seconds()


CHECKS = (missing_workers, stuck_workers, missing_beat)
