"""Wake the workers when there is something to deliver, and the process of the relays. The wake-up
carries no data, and losing one delays delivery by one poll interval, a second."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any

from eventstore import settings

logger = logging.getLogger(__name__)

# The name of the task that delivers. A task that no worker took within DELIVER_EXPIRES seconds is
# dropped.
DELIVER = "eventstore.deliver"
DELIVER_EXPIRES = 30
# At most one wake-up per GAP_SECONDS: it serves for everything written until a worker starts, and a
# worker looks for more for as long. More of them would only load the broker.
GAP_SECONDS = 0.05
# Pause after the broker could not be reached.
SILENT_SECONDS = 1.0

_quiet = threading.local()


class Signal:
    """Wake-ups of one kind. A thread of its own publishes them, so no request waits for the
    broker."""

    def __init__(self, publish: Callable[[], bool]) -> None:
        self.publish = publish
        self._requested = threading.Event()
        self._thread_of_process = 0

    def request(self) -> None:
        # A thread does not survive a fork, so each process starts its own.
        if self._thread_of_process != os.getpid():
            self._thread_of_process = os.getpid()
            threading.Thread(target=self._publish_for_ever, name="wakeup", daemon=True).start()
        self._requested.set()

    def _publish_for_ever(self) -> None:
        while True:
            self._requested.wait()
            self._requested.clear()
            time.sleep(GAP_SECONDS if self.publish() else SILENT_SECONDS)


class Listener:
    """The process of the relays, which waits for its wake-ups."""

    def __init__(self) -> None:
        self.connection: Any = None

    def wait(self, seconds: float) -> None:
        """Until it is woken, or so long."""
        if not settings.wake_workers():
            time.sleep(seconds)
            return
        try:
            if self.connection is None:
                self.connection = self._connect()
            with suppress(TimeoutError):
                self.connection.drain_events(timeout=seconds)
        except Exception as error:  # noqa: BLE001  whatever the broker's client raises; it polls anyway
            logger.warning("relays cannot be woken; they will poll: %s", error)
            self.close()
            time.sleep(SILENT_SECONDS)

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(Exception):
                connection.release()

    def _connect(self) -> Any:
        from celery import current_app

        kombu: Any = import_module("kombu")
        connection = current_app.connection_for_read()
        queue = kombu.Queue(
            f"relays.{kombu.uuid()}",
            _exchange_of_relays(),
            durable=False,
            auto_delete=True,
            exclusive=True,
        )
        consumer = kombu.Consumer(connection, queue, callbacks=[_ignore], no_ack=True)
        consumer.consume()
        return connection


def wake_workers() -> None:
    """Request a wake-up of the workers."""
    if settings.wake_workers() and not getattr(_quiet, "now", False):
        _workers.request()


def wake_relays() -> None:
    """Request a wake-up of the processes of relays. For workers: they see what relays have to
    do."""
    if settings.wake_workers():
        _relays.request()


@contextmanager
def quiet() -> Iterator[None]:
    """For a worker: it delivers what it writes itself, so no wake-up is needed."""
    _quiet.now = True
    try:
        yield
    finally:
        _quiet.now = False


def _publish() -> bool:
    from celery import current_app  # imported only where wake-ups are enabled

    try:
        # By name: the task's module is in a higher layer than this one.
        current_app.send_task(DELIVER, retry=False, ignore_result=True, expires=DELIVER_EXPIRES)
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises; workers poll anyway
        logger.warning("could not notify workers; they will poll: %s", error)
        return False
    return True


def _publish_to_relays() -> bool:
    from celery import current_app

    try:
        with current_app.producer_pool.acquire(block=True) as producer:
            exchange = _exchange_of_relays()
            producer.publish({}, exchange=exchange, declare=[exchange], serializer="json")
    except Exception as error:  # noqa: BLE001  as above
        logger.warning("could not notify relays; they will poll: %s", error)
        return False
    return True


def _exchange_of_relays() -> Any:
    """A fanout exchange: a wake-up is lost when no process waits for it. One for each platform that
    shares the broker."""
    from celery import current_app

    kombu: Any = import_module("kombu")
    name = f"{current_app.conf.task_default_queue}.relays"
    return kombu.Exchange(name, type="fanout", durable=True, delivery_mode=1)


def _ignore(body: Any, message: Any) -> None:
    """A wake-up carries no data."""


_workers = Signal(lambda: _publish())
_relays = Signal(_publish_to_relays)
