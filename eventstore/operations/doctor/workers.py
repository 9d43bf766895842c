"""Workers and Celery beat: whether they are alive and working."""

from collections.abc import Iterator

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
        why="New orders are accepted but not processed.",
        mend="celery -A config worker -c 2 --without-gossip --without-mingle (or manage.py work)",
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
    if not _is_alive(heartbeats.BEAT, limits):
        yield Finding(
            check="no-beat",
            severity=WARNING,
            what="Celery beat has sent no heartbeat.",
            culprit="celery beat",
            why="Workers find work by polling, but more slowly. The outbox is not cleared, and"
            " snapshots are not taken.",
            mend="celery -A config beat (not needed with manage.py work)",
        )


def is_worker_alive(limits: Limits) -> bool:
    return _is_alive(heartbeats.WORKER, limits)


def _is_alive(kind: str, limits: Limits) -> bool:
    return any(each.kind == kind and _is_fresh(each, limits) for each in heartbeats.heartbeats())


def _is_fresh(each: heartbeats.Heartbeat, limits: Limits) -> bool:
    return each.seconds <= limits.silent.total_seconds()


CHECKS = (missing_workers, stuck_workers, missing_beat)
