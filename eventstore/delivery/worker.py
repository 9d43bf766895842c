"""One turn of a worker: deliver until nothing is left, or until it is time to let the next task
in."""

import gc
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

from django.db import close_old_connections

from eventstore import log, registry
from eventstore.effects import calls
from eventstore.messaging import relay
from eventstore.outbox import cursors, wakeup
from eventstore.subscriptions import Projection, Publication, Relay

from . import chores, heartbeats
from . import step as delivery

TURN_SECONDS = 5.0
LOOK_SECONDS = 0.01
CALL_WAIT_SECONDS = 0.05
# How often the processes may answer one another before the read models have their turn.
CHAIN = 20
# A batch makes thousands of messages that go by themselves. To search them for garbage as often as
# Python does, after 700 more of anything, takes a fifth of a worker's time.
SELDOM = (20_000, 20, 50)

_turn = threading.Lock()
_heard = time.monotonic()


def run_turn() -> int:
    """One turn at a time in each process: the calls that it has under way are kept in one table."""
    with _turn:
        try:
            return _work_on()
        finally:
            hear()


@contextmanager
def tune_gc() -> Iterator[None]:
    """For who goes through many messages and then does something else again."""
    often = gc.get_threshold()
    gc.set_threshold(*SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(*often)


def freeze_imports() -> None:
    """For a process that will do nothing but deliver: what it has imported stays for good, and is
    not searched."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*SELDOM)


def hear() -> None:
    """Somebody has asked this process to work."""
    global _heard
    _heard = time.monotonic()


def silent_seconds() -> float:
    return time.monotonic() - _heard


def _work_on() -> int:
    """As work, and then a few looks more: who writes now may have nudged just before, and does not
    do so again yet."""
    until = time.monotonic() + TURN_SECONDS
    delivered, rest = work(beside=_beside()), time.monotonic() + wakeup.GAP_SECONDS
    while delivered and time.monotonic() < min(rest, until):
        time.sleep(LOOK_SECONDS)
        if more := work(beside=_beside()):
            delivered, rest = delivered + more, time.monotonic() + wakeup.GAP_SECONDS
    return delivered


def work(*, seconds: float = TURN_SECONDS, beside: Executor | None = None) -> int:
    """Deliver for at most about `seconds`; a turn that ends with work left nudges the next one.

    beside: a thread for the read models, which under load take their batches while the processes go
    on.
    """
    until, delivered = time.monotonic() + seconds, 0
    # Celery keeps a connection over many tasks; one that broke is made anew here.
    close_old_connections()
    _ensure_cursors_once()
    heartbeats.note(heartbeats.WORKER)
    with wakeup.quiet():
        while time.monotonic() < until:
            found = cursors.look()
            ready = found - {cursors.DEADLINES} - relay.unavailable(found)
            if subscriptions := ready | _answered():
                delivered += _round(subscriptions, until, beside)
            elif calls.under_way():
                calls.wait_for_any(CALL_WAIT_SECONDS)
            elif relay.under_way():
                relay.wait(CALL_WAIT_SECONDS)
            elif cursors.DEADLINES not in found or not delivery.tell_deadlines():
                return delivered
        # Who is never idle tells them all the same.
        delivery.tell_deadlines()
    wakeup.wake_workers()
    return delivered


def housekeep() -> None:
    """Every chore, due or not."""
    for chore in chores.CHORES:
        chore()


@cache
def _ensure_cursors_once() -> None:
    """A subscription that came with new code, and no migration, has its cursor from the first
    worker that knows it."""
    cursors.ensure_cursors()


def _round(subscriptions: set[str], until: float, beside: Executor | None) -> int:
    """Let the processes answer one another as long as they have something to say; the read models
    take it all at once, or under load a full batch at a time, beside the processes.

    What a step writes is known here, so nobody is asked for it: the database is asked again only
    after the round.
    """
    processes = {name for name in subscriptions if not _is_reader(name)}
    readers, troubles, begun, delivered, enough = (
        subscriptions - processes,
        list[Exception](),
        list[Future[int]](),
        0,
        0,
    )
    for _ in range(CHAIN):
        if not processes or time.monotonic() > until:
            break
        log.take_announced()
        delivered += _steps(processes, troubles)
        told = registry.listeners(log.take_announced()) | _answered()
        processes = {name for name in told if not _is_reader(name)}
        readers |= told - processes
        if (
            beside
            and delivered > enough + delivery.READERS_BATCH
            and all(each.done() for each in begun)
        ):
            begun.append(beside.submit(_steps_beside, readers, troubles))
            readers, enough = set(), delivered
    delivered += sum(each.result() for each in begun) + _steps(readers, troubles)
    if troubles:
        raise troubles[0]
    return delivered


@cache
def _beside() -> Executor:
    """The thread in which a worker process delivers to the read models, on a connection of its
    own."""
    return ThreadPoolExecutor(1, thread_name_prefix="readers")


def _steps_beside(subscriptions: set[str], troubles: list[Exception]) -> int:
    close_old_connections()
    return _steps(subscriptions, troubles)


def _steps(subscriptions: Iterable[str], troubles: list[Exception]) -> int:
    return sum(
        delivery.attempt(name, troubles)
        for name in registry.subscriptions()
        if name in subscriptions
    )


def _is_reader(name: str) -> bool:
    return isinstance(registry.subscriptions()[name], Projection | Publication | Relay)


def _answered() -> set[str]:
    return {name for name in registry.subscriptions() if calls.answered(name)}
