"""An envelope as a CloudEvent: the exact headers, properties and bytes of each broker and mode."""

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest

from eventstore.messages import EventNotification, IntegrationEvent, StateTransfer
from eventstore.messaging import cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.event_bus import Envelope


class Sold(IntegrationEvent, frozen=True):
    sku: str
    note: str = ""


class Seen(EventNotification, frozen=True):
    sku: str


class Stands(StateTransfer, frozen=True):
    sku: str


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
ENVELOPE = Envelope(
    id=UUID(int=1),
    type="shop.sold",
    subject="stock-TEA-EARL-GREY",
    position=42,
    time=datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    correlation_id=UUID(int=2),
    causation_id=UUID(int=3),
    event=Sold("TEA-EARL-GREY", "Grüße"),
    sequence=3001,
    previous=3000,
    trace=TRACE,
)
ORIGIN = Origin("/shop", "https://shop.example/schemas/")
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "00000000-0000-0000-0000-000000000001",
    "source": "/shop",
    "type": "shop.sold",
    "subject": "TEA-EARL-GREY",
    "stream": "stock-TEA-EARL-GREY",
    "time": "2026-01-02T03:04:05.678901Z",
    "dataschema": "https://shop.example/schemas/shop.sold/v1.schema.json",
    "sequence": "0000000000003001",
    "previoussequence": "0000000000003000",
    "position": "42",
    "partitionkey": "TEA-EARL-GREY",
    "correlationid": "00000000-0000-0000-0000-000000000002",
    "causationid": "00000000-0000-0000-0000-000000000003",
    "traceparent": TRACE,
    "kind": "integration",
}
PLAIN = {
    "event-type": "shop.sold",
    "event-id": "00000000-0000-0000-0000-000000000001",
    "correlation-id": "00000000-0000-0000-0000-000000000002",
}
VALUE = '{"sku":"TEA-EARL-GREY","note":"Grüße"}'.encode()


@pytest.fixture(autouse=True)
def _unversioned(monkeypatch):
    monkeypatch.setattr(cloudevents.registry, "schema_version_of", lambda name: 1)


def test_on_kafka_each_attribute_is_a_header_and_the_value_is_the_event():
    encoded = cloudevents.for_kafka(ENVELOPE, ORIGIN)
    prefixed = {f"ce_{name}": value for name, value in ATTRIBUTES.items()}
    assert encoded.headers == {"content-type": "application/json", **prefixed, **PLAIN}
    assert encoded.value == VALUE


def test_on_amqp_each_attribute_is_a_header_beside_the_properties():
    message = cloudevents.for_amqp(ENVELOPE, ORIGIN)
    assert message.headers == {f"ce-{name}": value for name, value in ATTRIBUTES.items()} | PLAIN
    assert message.properties == {
        "content_type": "application/json",
        "delivery_mode": 2,
        "message_id": ATTRIBUTES["id"],
        "correlation_id": ATTRIBUTES["correlationid"],
        "type": "shop.sold",
        "app_id": "/shop",
        "timestamp": 1767323045,
    }
    assert message.value == VALUE


@pytest.mark.parametrize("form", [cloudevents.for_kafka, cloudevents.for_amqp])
def test_structured_all_of_it_is_one_json_text(form):
    encoded = form(ENVELOPE, ORIGIN._replace(structured=True))
    assert json.loads(encoded.value) == {
        **ATTRIBUTES,
        "datacontenttype": "application/json",
        "data": {"sku": "TEA-EARL-GREY", "note": "Grüße"},
    }
    kept = {name: value for name, value in encoded.headers.items() if name != "content-type"}
    assert kept == PLAIN


def test_what_has_no_value_is_left_out():
    bare = ENVELOPE._replace(previous=0, trace="")
    found = cloudevents.attributes(bare, Origin("/shop"))
    assert {"previoussequence", "traceparent", "dataschema"}.isdisjoint(found)


@pytest.mark.parametrize(
    ("event", "kind"),
    [(Sold("a"), "integration"), (Seen("a"), "notification"), (Stands("a"), "state-transfer")],
)
def test_the_kind_of_event_is_an_attribute(event, kind):
    assert cloudevents.attributes(ENVELOPE._replace(event=event), ORIGIN)["kind"] == kind


def test_a_time_of_another_zone_is_told_in_utc():
    time = datetime(2026, 1, 2, 3, 0, tzinfo=timezone(timedelta(hours=2)))
    assert cloudevents.timestamp(time) == "2026-01-02T01:00:00Z"
