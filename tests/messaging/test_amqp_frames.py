"""Frames that publish a message: byte for byte those of py-amqp."""

import pytest
from amqp import spec
from amqp.basic_message import Message
from amqp.method_framing import frame_writer
from amqp.serialization import dumps

from eventstore.messaging.rabbitmq import frames

EXCHANGE, KEY, CHANNEL = "domain-events", "events.shop.sold", 1
PROPERTIES = {
    "content_type": "application/json",
    "delivery_mode": 2,
    "correlation_id": "00000000-0000-0000-0000-000000000002",
    "message_id": "00000000-0000-0000-0000-000000000001",
    "timestamp": 1767323045,
    "type": "shop.sold",
    "app_id": "/shop",
}
HEADERS = {"ce-subject": "Grüße", "ce-source": "x" * 300, "event-type": "shop.sold"}


class Written:
    """In place of py-amqp's connection and transport."""

    bytes_sent = 0

    def __init__(self, frame_max):
        self.frame_max, self.all = frame_max, b""

    def write(self, frames):
        self.all += bytes(frames)


@pytest.mark.parametrize("frame_max", [4096, 131072])
@pytest.mark.parametrize("body", [b"", b"{}", b"y" * 4088, b"z" * 10_000])
def test_they_are_those_of_py_amqp(frame_max, body):
    written = Written(frame_max)
    message = Message(body, application_headers=HEADERS, **PROPERTIES)
    arguments = dumps("Bssbb", (0, EXCHANGE, KEY, True, False))
    frame_writer(written, written)(1, CHANNEL, spec.Basic.Publish, arguments, message)
    properties = frames.properties(PROPERTIES, HEADERS)
    ours = frames.publish(CHANNEL, EXCHANGE, KEY, properties, body, frame_max)
    assert b"".join(ours) == written.all


def test_a_text_that_amqp_cannot_hold_is_an_error():
    with pytest.raises(ValueError):
        frames.short_text("x" * 256)
