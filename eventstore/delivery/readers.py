"""Threads that read from brokers for consumers, and deliver what they have stored."""

import logging
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from django.db import Error, close_old_connections

from eventstore import postgres
from eventstore.messaging import brokers
from eventstore.messaging.consumers import dead_letters, intake
from eventstore.messaging.consumers.dead_letters import DeadLetter, DeadLetterTopics
from eventstore.messaging.consumers.intake import OffsetMoved
from eventstore.messaging.transport import BrokerProblem, Reading, Source
from eventstore.outbox import cursors, wakeup

from . import heartbeats, step

logger = logging.getLogger(__name__)

READ_SECONDS = 0.25
# Between two looks for dead letters, and for messages that have waited too long.
CHORE_SECONDS = 1.0
# A consumer that is paused, or so many positions behind, is not read for: the broker keeps its
# messages.
BACKLOG = 20_000
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.2, 5.0
STOP_SECONDS = 12.0


class Handlers:
    """Delivers what is stored, in a thread of its own: a handler that takes long must not keep the
    reader from polling, or Kafka gives its partitions to another one."""

    def __init__(self, name: str, stopping: threading.Event) -> None:
        self.name, self.stopping = name, stopping
        self.thread = ThreadPoolExecutor(1, thread_name_prefix=f"{name} handlers")
        self.done: Future[None] = self.thread.submit(postgres.close)
        # What a process before this one has stored may wait.
        self.has_work = True

    def note(self, has_work: bool) -> None:
        """Whether there may be something to deliver. What comes while the thread delivers is
        delivered after it."""
        self.has_work |= has_work
        if self.has_work and self.done.done():
            self.has_work = False
            self.done = self.thread.submit(self.deliver)

    def deliver(self) -> None:
        close_old_connections()
        with wakeup.quiet():
            while step.attempt(self.name, []) and not self.stopping.is_set():
                pass
        wakeup.wake_workers()  # for the commands that followed

    def close(self) -> None:
        self.thread.submit(postgres.close)
        self.thread.shutdown()


class Copies:
    """Copies of a consumer's dead letters. A broker without the topic must not keep the consumer
    from reading. There is a client only while there is something to copy: nothing polls an idle
    one, so its errors would be logged at the next dead letter."""

    def __init__(self, broker: str, name: str) -> None:
        self.broker, self.name = broker, name
        self.topics: DeadLetterTopics | None = None

    def make(self) -> None:
        try:
            while dead_letters.copy(self.name, self):
                pass
        except BrokerProblem as problem:
            logger.warning("%s: dead letters wait: %s", self.name, problem)
        finally:
            self.close()

    def send(self, consumer: str, letters: Sequence[DeadLetter]) -> None:
        if self.topics is None:
            self.topics = brokers.dead_letters(self.broker)
        self.topics.send(consumer, letters)

    def close(self) -> None:
        topics, self.topics = self.topics, None
        if topics is not None:
            topics.close()


class Reader:
    """Reads for one consumer in a thread, until it is stopped.

    Any number may read for the same consumer, in any processes: the broker shares out partitions
    among them, or lets one of them read the queue.
    """

    def __init__(self, broker: str, reading: Reading) -> None:
        self.broker, self.reading, self.name = broker, reading, reading.consumer
        self.source: Source | None = None
        self.failures = 0
        self.chores_at = 0.0
        self.is_held = False
        self.stopping = threading.Event()
        self.handlers, self.copies = Handlers(self.name, self.stopping), Copies(broker, self.name)
        self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        self.thread.start()

    def stop(self) -> None:
        self.stopping.set()

    def join(self) -> None:
        self.thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self.stopping.is_set():
            try:
                self._look()
                self.failures = 0
            except OffsetMoved as error:
                logger.info("%s", error)
            except (BrokerProblem, Error) as error:
                logger.warning("%s: %s: %s", self.name, type(error).__name__, error)
                self._rest()
            except Exception:
                logger.exception("%s: reading failed", self.name)
                self._rest()
        self._close()
        self.handlers.close()
        postgres.close()

    def _look(self) -> None:
        close_old_connections()
        if self.source is None:
            self.source = brokers.source(self.broker, self.reading)
        stored = self.source.read(READ_SECONDS)
        heartbeats.note(heartbeats.consumer(self.name))
        if time.monotonic() > self.chores_at:
            self.chores_at = time.monotonic() + CHORE_SECONDS
            self.is_held = cursors.is_far_behind(self.name, BACKLOG)
            self.source.hold(self.is_held)
            stored += intake.release_overdue(self.name)
            self.copies.make()
        # While it is held nothing comes, and only a step moves the cursor over what is not for it.
        self.handlers.note(stored > 0 or self.is_held)

    def _rest(self) -> None:
        self._close()
        rest = FIRST_REST_SECONDS * 2 ** min(self.failures, 10)
        self.failures += 1
        self.stopping.wait(min(rest, LONGEST_REST_SECONDS))

    def _close(self) -> None:
        source, self.source = self.source, None
        if source is not None:
            source.close()
        self.copies.close()


def readers(names: Sequence[str] = ()) -> list[Reader]:
    """One for each consumer of the wiring whose broker the settings name; or for these only."""
    return [
        Reader(broker, reading)
        for broker in brokers.names()
        for reading in brokers.readings(broker)
        if not names or reading.consumer in names
    ]
