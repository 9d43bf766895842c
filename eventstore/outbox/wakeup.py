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

# The name of the task by which Celery beat polls. A task that no worker took within
# DELIVER_EXPIRES seconds is dropped.
DELIVER = "eventstore.deliver"
DELIVER_EXPIRES = 30
# At most one wake-up per GAP_SECONDS: it serves for everything written until a worker starts, and a
# worker looks for more for as long. More of them would only load the broker.
GAP_SECONDS = 0.05
# Pause after the broker could not be reached.
SILENT_SECONDS = 1.0
# As many wake-ups of workers wait at the broker at most, also while no worker is there.
MOST_WAITING = 16

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
    """One that waits for wake-ups. what: whose, for the log. queue: makes the queue at the
    broker."""

    def __init__(self, what: str, queue: Callable[[], Any]) -> None:
        self.what, self.queue = what, queue
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
            logger.warning("%s cannot be woken; they will poll: %s", self.what, error)
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
        consumer = kombu.Consumer(connection, self.queue(), callbacks=[_ignore], no_ack=True)
        consumer.consume()
        return connection


def worker_listener() -> Listener:
    """For a process of a worker. Of those that wait, one is woken: it delivers all there is."""
    return Listener("workers", _queue_of_workers)


def relay_listener() -> Listener:
    """For a process of relays. Each of them is woken."""
    return Listener("relays", _queue_of_relays)


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
        with current_app.producer_pool.acquire(block=True) as producer:
            queue = _queue_of_workers()
            declared = producer.channel.queue_declare(
                queue=queue.name,
                durable=queue.durable,
                auto_delete=queue.auto_delete,
                arguments=queue.queue_arguments,
            )
            # RabbitMQ bounds the queue by itself, Redis does not.
            if declared.message_count < MOST_WAITING:
                producer.publish(
                    {}, exchange="", routing_key=queue.name, serializer="json", delivery_mode=1
                )
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


def _queue_of_workers() -> Any:
    """All workers share it."""
    kombu: Any = import_module("kombu")
    return kombu.Queue(
        _name("workers"), durable=True, queue_arguments={"x-max-length": MOST_WAITING}
    )


def _queue_of_relays() -> Any:
    """Each process has its own."""
    kombu: Any = import_module("kombu")
    return kombu.Queue(
        f"relays.{kombu.uuid()}",
        _exchange_of_relays(),
        durable=False,
        auto_delete=True,
        exclusive=True,
    )


def _exchange_of_relays() -> Any:
    """A fanout exchange: a wake-up is lost when no process waits for it."""
    kombu: Any = import_module("kombu")
    return kombu.Exchange(_name("relays"), type="fanout", durable=True, delivery_mode=1)


def _name(what: str) -> str:
    """Of each platform that shares the broker its own."""
    from celery import current_app

    return f"{current_app.conf.task_default_queue}.{what}"


def _ignore(body: Any, message: Any) -> None:
    """A wake-up carries no data."""


_workers = Signal(lambda: _publish())
_relays = Signal(_publish_to_relays)
