"""How a consumer reads messages, also those of foreign producers."""

import json
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore import codec
from eventstore.messages import BrokerMessage, Message, Metadata, replace
from eventstore.messaging import cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.consumers import incoming, intake
from eventstore.messaging.event_bus import Envelope
from eventstore.operations import broker_messages

from . import world

ID, CAUSE, CORRELATION = (UUID(int=n) for n in (1, 2, 3))


@pytest.fixture
def envelope(toys):
    _, parts = world.parts("toy")
    toys(parts.pop("SUBSCRIPTIONS"), **parts)
    return Envelope(
        id=ID,
        type="toy.counter_changed",
        subject="counter-c1",
        position=7,
        time=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        correlation_id=CORRELATION,
        causation_id=CAUSE,
        event=world.CounterChanged("c1", 3),
        sequence=2000,
        previous=1000,
        trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )


def of_kafka(envelope, **origin):
    encoded = cloudevents.for_kafka(envelope, Origin("urn:us", **origin))
    headers = tuple((name.encode(), text.encode()) for name, text in encoded.headers.items())
    return BrokerMessage("kafka", "events.toy", b"c1", encoded.value, headers, 0, 5)


def of_rabbitmq(envelope, **origin):
    message = cloudevents.for_amqp(envelope, Origin("urn:us", **origin))
    headers = tuple((name.encode(), text.encode()) for name, text in message.headers.items())
    properties = json.dumps(message.properties).encode()
    return BrokerMessage(
        "rabbitmq", "events.toy.x", None, message.value, headers, properties=properties
    )


def stored(body):
    arrived = intake.arrived(body)
    metadata = codec.decoder(Metadata)(arrived.metadata)
    return Message(9, uuid4(), arrived.key, 0, intake.TYPE, body, metadata, datetime.now(UTC))


@pytest.mark.parametrize("structured", [False, True], ids=["binary", "structured"])
@pytest.mark.parametrize("form", [of_kafka, of_rabbitmq])
def test_what_was_published_arrives_unchanged(envelope, form, structured):
    assert incoming.envelope(stored(form(envelope, structured=structured)), {}) == envelope


def test_a_consumer_reads_with_its_own_class(envelope):
    class Own(world.IntegrationEvent, frozen=True):
        counter_id: str

    found = incoming.envelope(stored(of_kafka(envelope)), {"toy.counter_changed": Own})
    assert found.event == Own("c1")


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"[", b"[]", b'{"counter_id": 3}', b"null"])
def test_a_value_that_does_not_fit_is_the_error_of_its_message(envelope, value):
    broken = replace(of_kafka(envelope), value=value)
    with pytest.raises(codec.Undecodable, match="toy.counter_changed is not CounterChanged"):
        incoming.envelope(stored(broken), {})


DEEP = b"[" * 200_000
STRUCTURED = ((b"content-type", b"application/cloudevents+json"), (b"ce_id", b"1"))


@pytest.mark.parametrize(
    "value",
    [DEEP, b"[" * 900 + b"]" * 900, b'{"a":' * 900 + b"1" + b"}" * 900],
    ids=["endless", "arrays", "objects"],
)
@pytest.mark.parametrize("headers", [STRUCTURED, ()], ids=["structured", "binary"])
@pytest.mark.parametrize("revealed", [False, True])
def test_a_message_that_is_nested_too_deep_can_be_stored_parked_and_read(
    toys, value, headers, revealed
):
    toys({})
    message = BrokerMessage("kafka", "foreign", None, value, headers, 0, 1)
    with pytest.raises(codec.Undecodable, match="nested deeper than 100 levels"):
        incoming.envelope(stored(message), {})
    shown = broker_messages.readable("toy.reader", message, revealed=revealed)
    assert shown["bytes"] == len(value)
    assert codec.encode_json(shown)


def test_the_data_of_a_structured_event_may_be_in_base64(toys):
    toys({})
    value = b'{"specversion": "1.0", "id": "1", "data_base64": "eyJhIjogMX0="}'
    message = BrokerMessage("kafka", "foreign", None, value, STRUCTURED, 0, 1)
    assert incoming.envelope(stored(message), {}).event == {"a": 1}


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b'{"specversion": "1.0"}', "without data and data_base64"),
        (b'{"data_base64": "%"}', "data_base64 is not base64"),
        (b'{"data_base64": "AA=="}', "it is not JSON"),
        (b"[]", "without data and data_base64"),
    ],
)
def test_a_structured_event_without_readable_data_says_so(toys, value, reason):
    toys({})
    with pytest.raises(codec.Undecodable, match=reason):
        incoming.envelope(
            stored(BrokerMessage("kafka", "foreign", None, value, STRUCTURED, 0, 1)), {}
        )


names, texts = st.binary(max_size=30), st.none() | st.binary(max_size=30)
known = st.sampled_from(
    [
        b"ce_id",
        b"ce_sequence",
        b"ce_time",
        b"ce_stream",
        b"event-type",
        b"content-type",
        b"ce_source",
    ]
)
values = texts | st.sampled_from([b"application/cloudevents+json", b"99999999999999999999", b"-1"])


@given(
    key=texts,
    value=texts | st.sampled_from([b"{}", b"[]", b'{"id": 3, "data": null}', b"[" * 2000]),
    headers=st.lists(st.tuples(names | known, values), max_size=6),
)
def test_whatever_a_foreign_producer_sends_can_be_stored(key, value, headers):
    message = BrokerMessage("kafka", "foreign", key, value, tuple(headers), 0, 1)
    arrived = intake.arrived(message)
    assert codec.decoder(BrokerMessage)(arrived.payload) == message
    assert arrived.key.isprintable()
    assert len(arrived.key) <= 200
    assert "\x00" not in arrived.payload + arrived.id + arrived.stream


def test_a_message_with_plain_headers_only_has_a_type_and_an_id():
    headers = ((b"event-type", b"a.b"), (b"event-id", b"4"), (b"correlation-id", str(ID).encode()))
    found = incoming.attributes_of(BrokerMessage("kafka", "t", None, b"{}", headers))
    assert found == {"type": "a.b", "id": "4", "correlationid": str(ID)}
