"""The message broker: whether it can be reached, and whether it accepts messages."""

from collections.abc import Callable, Iterator
from typing import Any

from django.conf import settings

from eventstore import settings as ours

from .findings import WARNING, Finding, Limits

TIMEOUT_SECONDS = 2.0


def connect(url: str) -> None:
    """Raises what the broker's client raises."""
    from celery import current_app  # a project without Celery has no broker

    with current_app.connection_for_write(
        url, connect_timeout=TIMEOUT_SECONDS, transport_options=_short_timeouts()
    ) as connection:
        connection.ensure_connection(max_retries=1, timeout=TIMEOUT_SECONDS)


def alarm() -> str:
    """The reason why the broker blocks publishers; "" if it does not.

    Publishes a message for a queue that does not exist. A healthy broker confirms and drops it.
    """
    from celery import current_app

    reasons: list[str] = []
    options = _short_timeouts() | {"confirm_publish": True, "on_blocked": reasons.append}
    connection = current_app.connection_for_write(
        connect_timeout=TIMEOUT_SECONDS, transport_options=options
    )
    try:
        connection.ensure_connection(max_retries=1, timeout=TIMEOUT_SECONDS)
        channel = connection.default_channel
        message = channel.prepare_message(b"", properties={})
        channel.basic_publish(message, routing_key="eventstore.doctor", timeout=TIMEOUT_SECONDS)
    except TimeoutError:
        return "no answer"
    except Exception:  # noqa: BLE001  whatever the client raises: unreachable() reports such a broker
        return ""
    finally:
        if connection.connected:
            # A broker that blocks publishers does not answer a close either.
            connection.connection.collect()
    return "".join(reasons)


def unreachable(limits: Limits, *, connect: Callable[[str], None] = connect) -> Iterator[Finding]:
    if not ours.wake_workers():
        return
    url = str(getattr(settings, "CELERY_BROKER_URL", ""))
    try:
        connect(url)
    except Exception as error:  # noqa: BLE001  whatever the broker's client raises
        yield Finding(
            check="broker",
            severity=WARNING,
            what=f"The broker cannot be reached: {error}",
            culprit=url.rpartition("@")[2],
            why="Nothing is lost. Workers poll for work every second.",
            mend="Start Redis or RabbitMQ, or correct CELERY_BROKER_URL.",
        )


def blocked(limits: Limits, *, alarm: Callable[[], str] = alarm) -> Iterator[Finding]:
    """RabbitMQ accepts connections but no messages while it is short of memory or disk."""
    url = str(getattr(settings, "CELERY_BROKER_URL", ""))
    if ours.wake_workers() and url.startswith(("amqp", "pyamqp")) and alarm():
        yield Finding(
            check="broker-alarm",
            severity=WARNING,
            what="The broker accepts no messages: it has a memory or disk alarm.",
            culprit=url.rpartition("@")[2],
            why="Nothing is lost. Workers poll for work; Celery beat is blocked, so the outbox is"
            " not cleared.",
            mend="rabbitmqctl status shows the alarm. Free memory or disk, or raise"
            " vm_memory_high_watermark or disk_free_limit.",
        )


def _short_timeouts() -> dict[str, Any]:
    return {"socket_connect_timeout": TIMEOUT_SECONDS, "socket_timeout": TIMEOUT_SECONDS}


CHECKS = (unreachable, blocked)
