"""Publications in Avro: written by relays, read by consumers, with schemas of a registry."""

import json
import struct
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

import httpx
import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext
from django.contrib.auth.models import Group, User
from knox.models import AuthToken

from access.authorization import SCHEMA_READER
from eventstore.messages import BrokerMessage, IntegrationEvent
from eventstore.messaging import avro, cloudevents
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.consumers import incoming, intake
from eventstore.messaging.consumers.intake import Partition
from eventstore.messaging.event_bus import event_bus
from eventstore.models import Parked
from eventstore.operations import dead_letters, doctor
from eventstore.operations.doctor import registry as of_doctor
from eventstore.outbox import parked
from eventstore.postgres import execute
from eventstore.schemas.registry import documents, published, service, sources, wire
from eventstore.subscriptions import AVRO, Consumer
from eventstore.testing import drain
from tests.proxy import Proxy

from . import world
from .conftest import PATIENCE_SECONDS, count, delivered, settled, topic_of, until
from .test_incoming import envelope, stored  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
NAME, QUEUE, TOPIC = "toy.reader", Partition("toy.reader", 0), "events.toy"
TYPE, RECORD = "toy.counter_changed", "toy.CounterChanged"


class Changed2(IntegrationEvent, frozen=True):
    """A later version of world.CounterChanged: without the note, with a unit."""

    counter_id: str
    amount: int
    unit: str = "pieces"


def of_record(*fields, name="CounterChanged", namespace="toy"):
    described = [dict(zip(("name", "type", "default"), each, strict=False)) for each in fields]
    return {"type": "record", "name": name, "namespace": namespace, "fields": described}


ID, AMOUNT = ("counter_id", "string"), ("amount", "long")
V1 = of_record(ID, AMOUNT, ("note", "string", ""))
V2 = of_record(ID, AMOUNT, ("unit", "string", "pieces"))


def registered(schema, subject=f"{TOPIC}-{RECORD}"):
    """The id of a schema under a subject."""
    return service.register(subject, documents.read(json.dumps(schema))).stored.id


def encoded(id_, schema, **data):
    return wire.encode(id_, schema, data)


def message(value, *, key="c1", type_=TYPE, content_type=cloudevents.AVRO, topic=TOPIC):
    headers = {"content-type": content_type, "event-type": type_, "ce_partitionkey": key}
    pairs = tuple((name.encode(), text.encode()) for name, text in headers.items() if text)
    return BrokerMessage("kafka", topic, key.encode(), value, pairs, 0, 5)


@pytest.fixture
def heard(toys):
    """What a consumer of counters has heard."""
    found = []
    consumer = Consumer("kafka", [TOPIC], {"toy.*": lambda each: found.append(each.event)})
    toys({NAME: consumer}, PUBLISHED=[{TYPE: world.CounterChanged}])
    intake.begin(NAME, [QUEUE])
    return found


def amounts(heard):
    """Each once: a step that fails is rolled back and repeated, but for this list."""
    return list(dict.fromkeys(each.amount for each in heard))


def receive(*messages):
    intake.store_from_queue(NAME, QUEUE, messages)
    drain()


def test_a_consumer_reads_both_formats(heard):
    id_ = registered(V1)
    receive(
        message(encoded(id_, V1, counter_id="c1", amount=1, note="avro")),
        message(b'{"counter_id":"c1","amount":2}', content_type="application/json"),
        message(encoded(id_, V1, counter_id="c1", amount=3, note="no type"), content_type=""),
    )
    assert [(each.amount, each.note) for each in heard] == [(1, "avro"), (2, ""), (3, "no type")]
    assert not Parked.objects.exists()


def test_a_reader_of_the_first_version_reads_the_second(heard):
    registered(V1)
    receive(message(encoded(registered(V2), V2, counter_id="c1", amount=1, unit="kg")))
    assert heard == [world.CounterChanged("c1", 1)]


def test_a_reader_of_the_second_version_reads_the_first(heard, toys):
    contract = {TYPE: Changed2}
    consumer = Consumer("kafka", [TOPIC], {TYPE: lambda each: heard.append(each.event)}, contract)
    toys({NAME: consumer}, PUBLISHED=[])
    receive(message(encoded(registered(V1), V1, counter_id="c1", amount=1, note="x")))
    assert heard == [Changed2("c1", 1)]


def test_without_a_class_the_event_is_as_json_has_it(heard, toys):
    toys({NAME: Consumer("kafka", [TOPIC], {"*": lambda each: heard.append(each.event)})})
    schema = of_record(
        ("at", {"type": "long", "logicalType": "timestamp-micros"}),
        ("id", {"type": "string", "logicalType": "uuid"}),
        ("cents", {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
    )
    at, id_ = datetime(2026, 1, 2, 3, 4, 5, 6, UTC), "0198c0de-0000-7000-8000-000000000001"
    data = {"at": at, "id": id_, "cents": Decimal("12.50")}
    receive(message(encoded(registered(schema), schema, **data)))
    assert heard == [
        {
            "at": "2026-01-02T03:04:05.000006Z",
            "id": id_,
            "cents": "12.50",
        }
    ]


def test_references_are_resolved(heard, toys):
    toys({NAME: Consumer("kafka", [TOPIC], {"*": lambda each: heard.append(each.event)})})
    registered(of_record(("cents", "long"), name="Money"), "money")
    schema = of_record(("price", "toy.Money"))
    references = (documents.Reference("toy.Money", "money", 1),)
    document = documents.read(json.dumps(schema), references=references)
    id_ = service.register(f"{TOPIC}-value", document).stored.id
    receive(message(struct.pack(">bI", 0, id_) + b"\2"))
    assert heard == [{"price": {"cents": 1}}]


def bad_values(id_, foreign, json_id):
    good = encoded(id_, V1, counter_id="c1", amount=1, note="")
    return {
        "UnknownSchemaId": struct.pack(">bI", 0, 4711) + good[5:],
        "InvalidSchemaId": struct.pack(">bI", 0, 0) + good[5:],
        "InvalidSchemaId ": struct.pack(">bI", 0, 2**32 - 1) + good[5:],
        "ForeignSchemaId": struct.pack(">bI", 0, foreign) + good[5:],
        "WrongMagicByte": b"\1" + good[1:],
        "WrongMagicByte ": b"",
        "WrongMagicByte  ": good[:4],
        "BodyMismatch": good[:-1],
        "BodyMismatch ": good + b"\0",
        "BodyMismatch  ": good[:5] + b"\xff" * 20,
        "NotAvro": struct.pack(">bI", 0, json_id) + good[5:],
    }


def test_what_cannot_be_read_is_parked_by_name_and_all_others_go_on(heard):
    id_ = registered(V1)
    foreign = registered(of_record(ID, name="Other", namespace="shop"), "sales-value")
    text = documents.read('{"type":"object"}', "JSON")
    json_id = service.register("json", text).stored.id
    bad = bad_values(id_, foreign, json_id)
    receive(
        *(message(value, key=f"bad {name}") for name, value in bad.items()),
        message(encoded(id_, V1, counter_id="good", amount=7, note=""), key="good"),
    )
    assert amounts(heard) == [7]
    found = {row.key: row for row in Parked.objects.all()}
    assert set(found) == {f"bad {name}" for name in bad}
    for name in bad:
        row = found[f"bad {name}"]
        assert row.error.startswith(f"{name.strip()}: {TYPE}: "), row.error
        # Bytes do not change; an id may be registered yet.
        hopeless = name.strip() != "UnknownSchemaId"
        assert row.status == ("dead" if hopeless else "failed"), name


def test_the_schema_of_another_type_of_the_topic_is_foreign(heard, toys):
    other = of_record(ID, AMOUNT, name="Other")
    receive(
        message(encoded(registered(other, f"{TOPIC}-toy.Other"), other, counter_id="c", amount=1))
    )
    assert Parked.objects.get().error.startswith("ForeignSchemaId: ")
    assert heard == []


def test_an_id_that_is_registered_later_is_read_then(heard):
    value = encoded(1, V1, counter_id="c1", amount=1, note="")
    receive(message(value))
    assert Parked.objects.get().error.startswith("UnknownSchemaId: ")
    assert registered(V1) == 1
    dead_letters.retry(NAME, [Parked.objects.get().position], who="grace")
    drain()
    assert amounts(heard) == [1]


def test_a_null_value_in_avro_is_parked(heard):
    receive(message(None))
    assert Parked.objects.get().error.startswith("WrongMagicByte: ")


@pytest.fixture
def served(live_server, settings):
    """The address of a server with our registry."""
    settings.ROOT_URLCONF = "tests.messaging.registry_urls"
    return f"{live_server.url}/api/registry"


def reading_client(url):
    """Options of the stock client of an account that may read."""
    reader = User.objects.create(username="partner")
    reader.groups.add(Group.objects.get_or_create(name=SCHEMA_READER)[0])
    return {
        "url": url,
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": AuthToken.objects.create(reader)[1],
        "bearer.auth.logical.cluster": "none",
    }


@pytest.fixture
def behind_proxy(heard, served, live_server, settings, monkeypatch):
    """The registry of another system, behind a proxy that can be cut."""
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    proxy = Proxy(*live_server.url.removeprefix("http://").split(":"))
    settings.EVENTSTORE_SCHEMA_REGISTRY = reading_client(
        f"http://127.0.0.1:{proxy.port}/api/registry"
    )
    sources.forget()
    yield proxy
    proxy.close()
    sources.forget()


def test_consumers_that_know_a_schema_go_on_while_the_registry_is_down(
    behind_proxy, heard, settings, monkeypatch
):
    monkeypatch.setattr(sources, "REST_SECONDS", 0.0)
    known, unknown = registered(V1), registered(V2)
    receive(message(encoded(known, V1, counter_id="c1", amount=1, note="")))
    assert amounts(heard) == [1]

    true, behind_proxy.target = behind_proxy.target, ("127.0.0.1", 1)
    behind_proxy.cut()
    sources.schemas().lookup.client._rest_client.session.timeout = 0.2
    receive(
        message(encoded(known, V1, counter_id="c1", amount=2, note="")),
        message(encoded(unknown, V2, counter_id="c2", amount=3, unit=""), key="c2"),
        message(encoded(known, V1, counter_id="c1", amount=4, note="")),
    )
    assert amounts(heard) == [1, 2, 4]
    row = Parked.objects.get()
    assert row.error.startswith("RegistryUnreachable: the schema registry does not answer")

    # However long it takes, the message waits and never becomes a dead letter.
    for _ in range(parked.ATTEMPTS + 2):
        execute("UPDATE eventstore_parked SET due_at = now()").close()
        drain()
    assert Parked.objects.get().status == "failed"
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", 0.5)
    (finding,) = of_doctor.unreachable(doctor.DEFAULT)
    assert finding.check == "schema-registry"
    assert "does not answer" in finding.what

    behind_proxy.target = true
    sources.schemas().lookup.client._rest_client.session.timeout = PATIENCE_SECONDS
    monkeypatch.setattr(sources, "TIMEOUT_SECONDS", PATIENCE_SECONDS)
    assert list(of_doctor.unreachable(doctor.DEFAULT)) == []
    dead_letters.retry(NAME, [row.position], who="grace")
    drain()
    assert amounts(heard) == [1, 2, 4, 3]


def test_a_registry_that_refuses_the_token_is_named(behind_proxy, heard, settings):
    settings.EVENTSTORE_SCHEMA_REGISTRY |= {"bearer.auth.token": "wrong"}
    sources.forget()
    receive(message(encoded(registered(V1), V1, counter_id="c1", amount=1, note="")))
    row = Parked.objects.get()
    assert row.error.startswith("RegistryUnreachable: the schema registry answers 401")
    (finding,) = of_doctor.unreachable(doctor.DEFAULT)
    assert "answers 401" in finding.what


def test_an_unreachable_registry_is_asked_once_for_a_batch(behind_proxy, heard, monkeypatch):
    behind_proxy.close()
    asked = []
    remote = sources.schemas().lookup
    monkeypatch.setattr(
        remote.client, "get_schema", partial(_refuse, asked, httpx.ConnectError("refused"))
    )
    monkeypatch.setattr(sources, "REST_SECONDS", 60.0)
    for number in range(20):
        receive(message(struct.pack(">bI", 0, 100 + number), key=f"k{number}"))
    assert len(asked) == 1
    assert Parked.objects.count() == 20


def _refuse(asked, error, *arguments, **options):
    asked.append(arguments)
    raise error


def test_on_kafka_avro_is_in_binary_mode_with_its_content_type(envelope):  # noqa: F811
    value = cloudevents.AvroValue(7, b"\0\0\0\0\7body")
    origin = Origin("urn:us", structured=True, registry="https://us/api/registry/")
    found = cloudevents.for_kafka(envelope, origin, value)
    assert found.value == value.value
    assert found.headers["content-type"] == "application/avro"
    assert found.headers["ce_dataschema"] == "https://us/api/registry/schemas/ids/7/schema"
    assert found.headers["ce_type"] == TYPE
    without = cloudevents.for_kafka(envelope, Origin("urn:us", "https://us/schemas"), value)
    assert "ce_dataschema" not in without.headers


def test_what_a_relay_writes_a_consumer_reads(envelope):  # noqa: F811
    list(published.register_all())
    written = avro.encode(envelope)
    headers = cloudevents.for_kafka(envelope, Origin("urn:us"), written).headers
    pairs = tuple((name.encode(), text.encode()) for name, text in headers.items())
    sent = BrokerMessage("kafka", TOPIC, b"c1", written.value, pairs, 0, 5)
    assert incoming.envelope(stored(sent), {}) == envelope


def test_a_publication_says_how_its_events_are_written(toys):
    found = []
    publication = world.PUBLICATION._replace(encoding=AVRO)
    toys({"toy.published": publication}, PUBLISHED=[{TYPE: world.CounterChanged}])
    event_bus().subscribe("toy.*", found.append)
    try:
        count(2, counters=1)
        drain()
    finally:
        event_bus().unsubscribe("toy.*", found.append)
    assert [each.encoding for each in found] == [AVRO, AVRO]


def test_an_event_that_does_not_fit_its_schema_is_refused(envelope):  # noqa: F811
    list(published.register_all())
    huge = envelope._replace(event=world.CounterChanged("c1", 2**70))
    with pytest.raises(avro.NotEncodable, match=TYPE):
        avro.encode(huge)


def test_the_doctor_names_schemas_that_relays_lack(heard, toys):
    publication = world.PUBLICATION._replace(encoding=AVRO)
    _, parts = world.parts("toy", "kafka")
    relays = {"toy.published@kafka": parts["SUBSCRIPTIONS"]["toy.published@kafka"]}
    relays = {name: each._replace(publication=publication) for name, each in relays.items()}
    toys(relays, PUBLISHED=[{TYPE: world.CounterChanged}])
    (finding,) = of_doctor.unregistered(doctor.DEFAULT)
    assert (finding.check, TYPE in finding.what) == ("schema-unregistered", True)
    list(published.register_all())
    assert list(of_doctor.unregistered(doctor.DEFAULT)) == []


def test_a_wrong_encoding_is_found_by_the_checks(toys):
    from eventstore.guarantees import wiring

    toys({"toy.published": world.PUBLICATION._replace(encoding="xml")})
    assert [each.id for each in wiring._invalid_encodings()] == ["eventstore.E041"]


def test_over_a_real_broker(consumers, reading, kafka_server, served, monkeypatch):
    monkeypatch.setattr(world, "PUBLICATION", world.PUBLICATION._replace(encoding=AVRO))
    found = []
    of = consumers("kafka", {"*": lambda each: found.append(each.event)})
    count(1, counters=1)
    until(lambda: delivered() and Parked.objects.filter(subscription=of.name).exists())
    row = Parked.objects.get(subscription=of.name)
    assert row.error.startswith("SchemaNotRegistered: ")
    assert "manage.py schemas --register" in row.error
    list(published.register_all())
    dead_letters.retry(of.name, [row.position], who="grace")
    count(40, counters=4)
    settled(of.name)
    messages = topic_of(kafka_server, of.topic, 41)
    assert len(messages) == 41
    stock = SchemaRegistryClient(reading_client(served))
    place = SerializationContext(of.topic, MessageField.VALUE)
    decoded = [AvroDeserializer(stock)(each.value(), place) for each in messages]
    assert {each["amount"] for each in decoded} == set(range(1, 41))
    assert {dict(each.headers())["content-type"] for each in messages} == {b"application/avro"}

    producer = Producer({"bootstrap.servers": kafka_server.address})
    headers = {"event-type": of.type, "content-type": "application/avro"}
    producer.produce(of.topic, b"\0\0\0\0\0bad", b"foreign", headers=headers)
    producer.flush(10)
    reading(of)
    until(lambda: delivered() and len(found) >= 41)
    assert {each.amount for each in found} == set(range(1, 41))
    (letter,) = topic_of(kafka_server, f"{of.topic}.dlq", 1)
    reason = dict(letter.headers())["dlq-reason"].decode()
    assert reason.startswith("InvalidSchemaId: ")
    assert letter.value() == b"\0\0\0\0\0bad"
