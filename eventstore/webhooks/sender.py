"""Sends deliveries from a worker: a thread that leases them, has them sent by other threads, and
records the answers. No transaction is open during a call.

A sender that dies leaves its leases behind. They end, and the deliveries are sent again with the
same webhook-id: at least once.
"""

import atexit
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from django.db import close_old_connections

from eventstore import postgres, settings

from . import deliveries, secrets
from .deliveries import Claimed
from .schedule import Answer
from .secrets import KeyMissing

logger = logging.getLogger(__name__)

# How long the thread waits for answers before it looks for further deliveries.
LOOK_SECONDS = 0.1
# How long it lives, and keeps its connection to the database, when there is nothing to send.
LINGER_SECONDS = 2.0
# After an error, such as a restart of the database.
REST_SECONDS = 1.0
# An endpoint is slow if its last call took longer, or one is in progress for longer.
SLOW_SECONDS = 1.0
# How many slow endpoints a process remembers.
MOST_SLOW = 1000

Post = Callable[[str, Mapping[str, str], bytes], Answer]


def post(url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """As transport.post, which needs packages that a project without webhooks does not have."""
    from . import transport

    return transport.post(url, headers, body)


class Call(NamedTuple):
    """taken_at: when its lease began, by time.monotonic()."""

    claimed: Claimed
    taken_at: float


class Sender:
    """post: makes one call, as transport.post does. linger: see LINGER_SECONDS.

    Slow endpoints share threads of their own (a bulkhead; Nygard, Release It!): any number of them
    delays no other endpoint. slow: their ids, the longest known first.
    """

    def __init__(self, post: Post = post, *, linger: float = LINGER_SECONDS) -> None:
        self.post, self.linger = post, linger
        self.calls: dict[Future[Answer], Call] = {}
        self.slow: OrderedDict[UUID, None] = OrderedDict()
        self.thread: threading.Thread | None = None
        self.state = threading.Condition()
        self.wanted = self.stopping = False

    def look(self) -> None:
        """Have it send what is due, in its own thread."""
        with self.state:
            self.wanted = True
            if self.thread is None or not self.thread.is_alive():
                self.stopping = False
                self.thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
                self.thread.start()
            self.state.notify_all()

    @property
    def is_busy(self) -> bool:
        """Whether it has calls in progress, or has not looked since it was asked to."""
        alive = self.thread is not None and self.thread.is_alive()
        return alive and (self.wanted or bool(self.calls))

    def stop(self) -> None:
        """Wait for the calls in progress; each is bounded in time."""
        with self.state:
            self.stopping = True
            self.state.notify_all()
            thread = self.thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(deliveries.lease().total_seconds())

    def send_due(self, limit: int | None = None) -> int:
        """Send what is due now, and wait for the answers, in the calling thread. Returns how many
        answers were recorded."""
        recorded = 0
        with _threads() as threads:
            while self._begin(threads, limit):
                while self.calls:
                    wait(self.calls, return_when=FIRST_COMPLETED)
                    recorded += self._record()
        return recorded

    def _run(self) -> None:
        last = time.monotonic()
        with _threads() as threads:
            while True:
                with self.state:
                    idle = not self.calls and not self.wanted
                    idle = idle and time.monotonic() - last > self.linger
                    if self.stopping and not self.calls or idle:
                        self.thread = None
                        break
                try:
                    close_old_connections()
                    if self._begin(threads) + self._record():
                        last = time.monotonic()
                except Exception:  # noqa: BLE001  such as a database restart: the leases end
                    logger.exception("sending webhooks failed; the next look retries it")
                    time.sleep(REST_SECONDS)
                if self.calls:
                    wait(self.calls, LOOK_SECONDS, FIRST_COMPLETED)
                else:
                    with self.state:
                        self.state.wait_for(lambda: self.wanted or self.stopping, LOOK_SECONDS)
        postgres.close()

    def _begin(self, threads: ThreadPoolExecutor, limit: int | None = None) -> int:
        """Lease as many deliveries as there are free threads, and start the calls: those of slow
        endpoints, and those of all others."""
        with self.state:
            self.wanted = False
        if self.stopping:
            return 0
        self._note_slow()
        slow = tuple(self.slow)
        started = 0
        for is_slow in (False, True) if slow else (False,):
            free = self._free(is_slow=is_slow)
            wanted = min(free, limit - started) if limit else free
            if wanted > 0:
                taken_at = time.monotonic()
                for each in deliveries.claim(wanted, slow, only=is_slow):
                    call = Call(each, taken_at)
                    self.calls[threads.submit(self._call, each, taken_at)] = call
                    started += 1
        return started

    def _note_slow(self) -> None:
        """The endpoints of calls that are in progress for too long."""
        before = time.monotonic() - SLOW_SECONDS
        for each in self.calls.values():
            if each.taken_at < before:
                self._remember(each.claimed.endpoint, is_slow=True)

    def _remember(self, endpoint: UUID, *, is_slow: bool) -> None:
        if is_slow:
            self.slow[endpoint] = None
            if len(self.slow) > MOST_SLOW:
                self.slow.popitem(last=False)
        else:
            self.slow.pop(endpoint, None)

    def _free(self, *, is_slow: bool) -> int:
        """Threads for calls of slow endpoints, or of the others: WEBHOOK_CALLS each, and no more
        than there are; endpoints may have become slow meanwhile."""
        most = settings.webhook_calls()
        of_slow = sum(each.claimed.endpoint in self.slow for each in self.calls.values())
        busy = of_slow if is_slow else len(self.calls) - of_slow
        return min(most - busy, 2 * most - len(self.calls))

    def _call(self, claimed: Claimed, taken_at: float) -> Answer:
        """In a thread of its own, without the database."""
        if time.monotonic() - taken_at > deliveries.LEASE_MARGIN.total_seconds():
            raise TimeoutError("the lease would end during the call")
        at = datetime.now(UTC)
        try:
            headers = secrets.headers(str(claimed.message), claimed.body, at, claimed.salts)
        except KeyMissing as error:
            logger.error("webhook delivery %s cannot be signed: %s", claimed.id, error)
            return Answer(None, 0.0, "The sender could not sign the request.")
        return self.post(claimed.url, headers, claimed.body.encode())

    def _record(self) -> int:
        """Of the calls that are answered. Returns how many."""
        done = [future for future in tuple(self.calls) if future.done()]
        answered = []
        for future in done:
            claimed = self.calls[future].claimed
            if (error := future.exception()) is None:
                answer = future.result()
                self._remember(claimed.endpoint, is_slow=answer.seconds > SLOW_SECONDS)
                answered.append((claimed, answer))
            else:
                logger.warning("webhook delivery %s was not sent: %r", claimed.id, error)
        recorded = deliveries.settle(answered)
        for future in done:
            del self.calls[future]
        return recorded


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2 * settings.webhook_calls(), "webhook")


# Of this process. Its thread starts with the first delivery, so after a fork.
this_process = Sender()
atexit.register(this_process.stop)
