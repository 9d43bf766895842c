"""The AsyncAPI document describes the brokers of the settings as they are used."""

import copy
import json
import re
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from config import brokers as configuration
from config.api import asyncapi
from config.variables import Variables
from eventstore import registry
from eventstore.messaging import cloudevents, kafka, rabbitmq
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.event_bus import Envelope
from orders.integration_events import OrderStatusChanged

from .test_asyncapi import faults_of

ENVIRONMENT = {
    "KAFKA_BOOTSTRAP_SERVERS": "kafka-1.example:9093, kafka-2.example:9093",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "orders",
    "KAFKA_SASL_PASSWORD": "secret-of-kafka",
    "KAFKA_REPLICATION": "3",
    "RABBITMQ_URL": "amqps://orders:secret-of-rabbitmq@rabbitmq.example/shop",
    "RABBITMQ_EXCHANGE": "our-events",
    "RABBITMQ_EXCHANGE_TYPE": "headers",
}
STREAM = "order-0193"


@pytest.fixture
def brokers(monkeypatch):
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return configuration.from_environment(Variables())


@pytest.fixture(params=[False, True], ids=["binary", "structured"])
def structured(request):
    return request.param


@pytest.fixture
def described(brokers, structured):
    return json.loads(json.dumps(asyncapi.made(brokers, structured=structured)))


def test_it_is_what_asyncapi_3_asks_for(described):
    assert [f"{list(each.absolute_path)}: {each.message}" for each in faults_of(described)] == []


@pytest.mark.parametrize(
    ("channel", "binding", "wrong"),
    [
        ("kafka_orders", "kafka", {"partitions": 0}),
        ("rabbitmq_orders", "amqp", {"exchange": {"type": "quorum"}}),
    ],
)
def test_a_binding_that_asyncapi_3_does_not_know_is_found(described, channel, binding, wrong):
    described["channels"][channel]["bindings"][binding] |= wrong
    assert faults_of(described)


def test_every_reference_leads_somewhere(described):
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(described))):
        found = described
        for step in reference.split("/"):
            found = found[step]


def test_no_password_is_in_it(described):
    assert "secret" not in json.dumps(described)


def test_a_broker_that_the_settings_do_not_name_is_not_there(brokers):
    without = asyncapi.made({})
    assert [
        each for each in without["channels"].values() if "ws" not in each.get("bindings", {})
    ] == [without["channels"]["published"]]
    assert {each["protocol"] for each in asyncapi.made({})["servers"].values()} == {"ws", "wss"}
    only_kafka = asyncapi.made({"kafka": brokers["kafka"]})
    assert not [name for name in only_kafka["channels"] if name.startswith("rabbitmq")]


def test_servers_are_those_of_the_settings(described):
    servers, schemes = described["servers"], described["components"]["securitySchemes"]
    assert (servers["kafka"]["host"], servers["kafka_2"]["host"]) == (
        "kafka-1.example:9093",
        "kafka-2.example:9093",
    )
    assert servers["kafka"]["protocol"] == "kafka-secure"
    assert servers["kafka"]["security"] == [{"$ref": "#/components/securitySchemes/scramSha512"}]
    assert schemes["scramSha512"] == {"type": "scramSha512"}
    assert servers["rabbitmq"]["host"] == "rabbitmq.example:5671"
    assert servers["rabbitmq"]["protocol"] == "amqps"


def test_every_published_type_has_its_topic_and_its_routing_key(described):
    topics, keys = {}, {}
    for channel in described["channels"].values():
        bindings = channel.get("bindings", {})
        for type_ in channel["messages"]:
            if "kafka" in bindings:
                topics[type_] = bindings["kafka"]["topic"]
                assert channel["address"] == topics[type_]
            if "amqp" in bindings:
                event = type_.partition(".")[2]
                assert event in channel["parameters"]["event"]["enum"]
                keys[type_] = channel["address"].format(event=event)
    published = registry.published_types()
    assert topics == {type_: kafka.topic_of(type_) for type_ in published}
    assert keys == {type_: rabbitmq.routing_key(type_) for type_ in published}


def test_the_exchange_and_the_topics_are_those_that_are_created(described, brokers):
    exchange = described["channels"]["rabbitmq_orders"]["bindings"]["amqp"]["exchange"]
    assert (exchange["name"], exchange["type"]) == ("our-events", "headers")
    assert exchange["vhost"] == "shop"
    topic = described["channels"]["kafka_orders"]["bindings"]["kafka"]
    assert (topic["partitions"], topic["replicas"]) == (6, 3)
    operation = described["operations"]["publish_kafka_orders"]
    assert operation["bindings"]["kafka"]["clientId"]["enum"] == ["orders.published@kafka"]


def envelope():
    return Envelope(
        id=uuid4(),
        type="orders.order_status_changed",
        subject=STREAM,
        position=7,
        time=datetime.now(UTC),
        correlation_id=uuid4(),
        causation_id=uuid4(),
        event=OrderStatusChanged("0193"),
        sequence=2000,
        previous=1000,
        trace="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )


def sent(broker, structured):
    """Headers and value of a real message."""
    origin = Origin("/shop", "https://schemas.example", structured)
    if broker == "kafka":
        found = cloudevents.for_kafka(envelope(), origin)
        return dict(found.headers), json.loads(found.value)
    found = cloudevents.for_amqp(envelope(), origin)
    return dict(found.headers), json.loads(found.value)


@pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])
def test_a_message_has_the_headers_and_the_value_that_are_described(described, structured, broker):
    headers, value = sent(broker, structured)
    message = described["channels"][f"{broker}_orders"]["messages"]["orders.order_status_changed"]
    schemas = [strict(resolved(described, message[part])) for part in ("headers", "payload")]
    validators = [
        Draft7Validator(each | {"components": described["components"]}) for each in schemas
    ]
    for validator, found in zip(validators, (headers, value), strict=True):
        validator.validate(found)
        with pytest.raises(ValidationError):
            validator.validate(found | {"unknown": "1"})
    assert set(schemas[0]["properties"]) == set(headers)
    del headers["event-id"]
    with pytest.raises(ValidationError):
        validators[0].validate(headers)


def resolved(described, schema):
    found = schema
    while "$ref" in found:
        steps, found = found["$ref"].removeprefix("#/").split("/"), described
        for step in steps:
            found = found[step]
    return copy.deepcopy(found)


def strict(schema):
    return schema | {"additionalProperties": False}
