"""python -m tools.devserver.watch_rabbitmq URL PATTERN: print what arrives under a routing key."""

import sys
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

EXCHANGE = "domain-events"


def watch(url: str, pattern: str) -> None:
    """By a queue of its own, which is gone when this ends."""
    parts = urlsplit(url)
    with amqp.Connection(
        f"{parts.hostname}:{parts.port or 5672}",
        userid=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
        virtual_host=unquote(parts.path[1:]) or "/",
        ssl=parts.scheme == "amqps",
    ) as connection:
        channel = connection.channel()
        queue = channel.queue_declare(exclusive=True).queue
        channel.queue_bind(queue, EXCHANGE, pattern)
        channel.basic_consume(queue, no_ack=True, callback=_show)
        while True:
            connection.drain_events()


def _show(message: Any) -> None:
    print(message.delivery_info["routing_key"], message.headers, flush=True)
    print(message.body.decode() if isinstance(message.body, bytes) else message.body, flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        watch(*sys.argv[1:])
