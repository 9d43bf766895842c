"""Round trips of the stock serializers, and readers of one version with writers of another."""

import json

import pytest
from confluent_kafka.schema_registry import Schema, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, SerializationError

from .conftest import ONE, REFERENCE, SKU, TWO, avro, json_schema, refused

VALUE = SerializationContext("sales", MessageField.VALUE)


def test_avro(client):
    serialize, read = AvroSerializer(client, ONE), AvroDeserializer(client)
    value = serialize({"sku": "TEA"}, VALUE)
    assert value == b"\0\0\0\0\1" + b"\6TEA"
    client.clear_caches()
    assert read(value, VALUE) == {"sku": "TEA"}
    assert client.get_subjects() == ["sales-value"]


def test_avro_by_record(client):
    options = {"subject.name.strategy": record_subject_name_strategy}
    AvroSerializer(client, ONE, conf=options)({"sku": "TEA"}, VALUE)
    assert client.get_subjects() == ["shop.Sold"]


def test_avro_with_references(client):
    client.register_schema("money", avro(("cents", "long"), name="Money"))
    reference = REFERENCE("shop.Money", "money", 1)
    price = avro(SKU, ("price", "shop.Money"), name="Price", references=[reference])
    data = {"sku": "TEA", "price": {"cents": 450}}
    value = AvroSerializer(client, price)(data, VALUE)
    client.clear_caches()
    assert AvroDeserializer(client)(value, VALUE) == data


@pytest.mark.parametrize(("writer", "reader"), [(ONE, TWO), (TWO, ONE)], ids=["newer", "older"])
def test_a_reader_of_another_version(client, writer, reader):
    client.register_schema("sales-value", ONE)
    client.register_schema("sales-value", TWO)
    data = {"sku": "TEA", "note": "hot"} if writer is TWO else {"sku": "TEA"}
    value = AvroSerializer(client, writer)(data, VALUE)
    client.clear_caches()
    found = AvroDeserializer(client, reader.schema_str)(value, VALUE)
    assert found == ({"sku": "TEA", "note": ""} if reader is TWO else {"sku": "TEA"})


def test_a_writer_that_may_not_register_looks_its_schema_up(client):
    conf = {"auto.register.schemas": False}
    assert refused(AvroSerializer(client, ONE, conf=conf), {"sku": "TEA"}, VALUE) == (404, 40401)
    client.register_schema("sales-value", ONE)
    assert AvroSerializer(client, ONE, conf=conf)({"sku": "TEA"}, VALUE)[:5] == b"\0\0\0\0\1"


def test_the_latest_version_is_used(client):
    client.register_schema("sales-value", ONE)
    client.register_schema("sales-value", TWO)
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    value = AvroSerializer(client, ONE, conf=conf)({"sku": "TEA", "note": "hot"}, VALUE)
    assert AvroDeserializer(client)(value, VALUE)["note"] == "hot"


def test_an_incompatible_writer_is_refused(client):
    client.register_schema("sales-value", ONE)
    narrower = avro(SKU, ("cents", "int"))
    assert refused(AvroSerializer(client, narrower), {"sku": "T", "cents": 1}, VALUE) == (409, 409)


def test_json(client):
    text = json.dumps(
        {"title": "Sold", "type": "object", "properties": {"sku": {"type": "string"}}}
    )
    value = JSONSerializer(text, client)({"sku": "TEA"}, VALUE)
    assert value[:5] == b"\0\0\0\0\1"
    assert json.loads(value[5:]) == {"sku": "TEA"}
    client.clear_caches()
    assert JSONDeserializer(text, schema_registry_client=client)(value, VALUE) == {"sku": "TEA"}
    assert JSONDeserializer(None, schema_registry_client=client)(value, VALUE) == {"sku": "TEA"}


def test_json_with_references(client):
    client.register_schema("money", json_schema({"cents": {"type": "integer"}}, title="Money"))
    reference = REFERENCE("money.json", "money", 1)
    price = json_schema({"price": {"$ref": "money.json"}}, title="Price", references=[reference])
    value = JSONSerializer(price, client)({"price": {"cents": 1}}, VALUE)
    client.clear_caches()
    read = JSONDeserializer(price, schema_registry_client=client)
    assert read(value, VALUE) == {"price": {"cents": 1}}
    with pytest.raises(SerializationError):
        JSONSerializer(price, client)({"price": {"cents": "a"}}, VALUE)


def test_primitive_types(client):
    value = AvroSerializer(client, Schema('{"type": "string"}', "AVRO"))("TEA", VALUE)
    assert AvroDeserializer(client)(value, VALUE) == "TEA"
