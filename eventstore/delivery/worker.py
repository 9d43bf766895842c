"""A worker: deliver until nothing is left, or until it is time for the next task."""

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
from eventstore.webhooks import sender

from . import chores, heartbeats, relays, step
from .kinds import READERS_BATCH, kind_of

TURN_SECONDS = 5.0
LOOK_SECONDS = 0.01
CALL_WAIT_SECONDS = 0.05
# How many times the processes may react to one another before the read models get their messages.
CHAIN = 20
# Thresholds of the garbage collector. A batch makes thousands of messages that reference counting
# frees. With Python's default, a collection per 700 new objects, a worker spends a fifth of its
# time on collections.
RARE_COLLECTIONS = (20_000, 20, 50)


class Worker:
    """Delivers to all subscriptions, in one process.

    readers: one thread for the read models. Under load they get their batches there while the other
    subscriptions go on in the calling thread; without it, everything runs in the calling thread.
    awaits_relays: deliver until relays and webhooks are done as well; they work in threads of their
    own.
    """

    def __init__(self, readers: Executor | None = None, *, awaits_relays: bool = False) -> None:
        self.readers, self.awaits_relays = readers, awaits_relays
        self._turn = threading.Lock()

    def run_turn(self) -> int:
        """Deliver for TURN_SECONDS, or until nothing is left for wakeup.GAP_SECONDS: a writer that
        has just sent a wake-up sends no further one within that time. One turn at a time, because
        a process has one table of calls in progress. Returns the number of messages."""
        with self._turn:
            return self._run_turn()

    def run_turn_if_idle(self) -> int:
        """As run_turn; 0 if a turn is under way in another thread, which finds all there is."""
        if not self._turn.acquire(blocking=False):
            return 0
        try:
            return self._run_turn()
        finally:
            self._turn.release()

    def finish(self) -> None:
        """Wait for the turn under way, for at most about twice TURN_SECONDS; no other begins."""
        self._turn.acquire(timeout=2 * TURN_SECONDS)

    def _run_turn(self) -> int:
        until = time.monotonic() + TURN_SECONDS
        delivered = self.run_once()
        rest = time.monotonic() + wakeup.GAP_SECONDS
        while delivered and time.monotonic() < min(rest, until):
            time.sleep(LOOK_SECONDS)
            if more := self.run_once():
                delivered, rest = delivered + more, time.monotonic() + wakeup.GAP_SECONDS
        return delivered

    def run_once(self, seconds: float = TURN_SECONDS) -> int:
        """Deliver until nothing is left, for at most about `seconds`. If something is left then,
        wake the workers. Returns the number of messages."""
        until, delivered = time.monotonic() + seconds, 0
        # Celery keeps a connection over many tasks; a broken one is replaced here.
        close_old_connections()
        _ensure_cursors_once()
        heartbeats.note(heartbeats.WORKER)
        with wakeup.quiet():
            while time.monotonic() < until:
                found = cursors.look()
                if cursors.WEBHOOKS in found:
                    sender.this_process.look()
                ready = found - {cursors.DEADLINES, cursors.WEBHOOKS} - relays.unavailable(found)
                if ready := ready | _with_answers():
                    delivered += self.deliver_ready(ready, until)
                    continue
                relays.wake(found)
                if calls.this_process.under_way():
                    calls.this_process.wait_for_any(CALL_WAIT_SECONDS)
                elif self.awaits_relays and relay.this_process.under_way():
                    relay.this_process.wait(CALL_WAIT_SECONDS)
                elif self.awaits_relays and sender.this_process.is_busy:
                    time.sleep(CALL_WAIT_SECONDS)
                elif cursors.DEADLINES not in found or not step.tell_deadlines():
                    return delivered
            # A worker that is never idle must handle deadlines too.
            step.tell_deadlines()
        wakeup.wake_workers()
        return delivered

    def deliver_ready(self, subscriptions: set[str], until: float) -> int:
        return Round(subscriptions, until, self.readers).run()


class Round:
    """Delivers to the subscriptions with work, and to those that their messages reach in turn.

    The processes (sagas, effects, commands) react to one another as long as there is something to
    react to. The readers (read models, publications, relays) get everything at the end; under load,
    they get full batches in the thread meanwhile. The process knows what its own steps write, so
    the database is queried for work only after the round.
    """

    def __init__(self, subscriptions: set[str], until: float, thread: Executor | None) -> None:
        self.readers = {name for name in subscriptions if _is_reader(name)}
        self.processes = subscriptions - self.readers
        self.until, self.thread = until, thread
        self.delivered = 0
        # `delivered` when the readers last got a batch in the thread.
        self.delivered_to_readers = 0
        self.in_thread: list[Future[int]] = []
        self.troubles: list[Exception] = []

    def run(self) -> int:
        """Returns the number of messages. Raises the first error of a step, after all steps."""
        for _ in range(CHAIN):
            if not self.processes or time.monotonic() > self.until:
                break
            log.take_announced()
            self.delivered += _step_each(self.processes, self.troubles)
            reached = registry.listeners(log.take_announced()) | _with_answers()
            self.processes = {name for name in reached if not _is_reader(name)}
            self.readers |= reached - self.processes
            has_batch = self.delivered - self.delivered_to_readers > READERS_BATCH
            if self.thread and has_batch and all(each.done() for each in self.in_thread):
                self.thread.submit(close_old_connections)
                task = self.thread.submit(_step_each, self.readers, self.troubles)
                self.in_thread.append(task)
                self.readers, self.delivered_to_readers = set(), self.delivered
        self.delivered += sum(each.result() for each in self.in_thread)
        self.delivered += _step_each(self.readers, self.troubles)
        if self.troubles:
            raise self.troubles[0]
        return self.delivered


# A subscription that came with new code and no migration gets its cursor from the first worker that
# runs the new code.
_ensure_cursors_once = cache(cursors.ensure_cursors)

# The worker of this process. Its thread starts with the first batch, so after a fork.
this_process = Worker(ThreadPoolExecutor(1, thread_name_prefix="readers"))


def run_turn() -> int:
    return this_process.run_turn()


def run_turn_if_idle() -> int:
    return this_process.run_turn_if_idle()


def work(*, seconds: float = TURN_SECONDS) -> int:
    """Deliver in the calling thread only; see Worker.run_once."""
    return Worker(awaits_relays=True).run_once(seconds)


@contextmanager
def tune_gc() -> Iterator[None]:
    """Collect garbage rarely while many messages are processed."""
    before = gc.get_threshold()
    gc.set_threshold(*RARE_COLLECTIONS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def freeze_imports() -> None:
    """For a process that only delivers: freezes imported objects so that the garbage collector
    skips them, and collects rarely from now on."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*RARE_COLLECTIONS)


def housekeep() -> None:
    """Run every chore, due or not."""
    for chore in chores.CHORES:
        chore()


def _step_each(subscriptions: Iterable[str], troubles: list[Exception]) -> int:
    """One step of each subscription, in the order of the wiring."""
    return sum(
        step.attempt(name, troubles) for name in registry.subscriptions() if name in subscriptions
    )


def _is_reader(name: str) -> bool:
    return kind_of(registry.subscriptions()[name]).is_reader


def _with_answers() -> set[str]:
    """The subscriptions of effects whose calls have returned."""
    return {name for name in registry.subscriptions() if calls.this_process.answered(name)}
