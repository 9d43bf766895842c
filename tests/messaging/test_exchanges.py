"""Each type of exchange that the settings know routes to a consumer what it should."""

import amqp
import pytest

from config import brokers as configuration
from config.variables import Variables
from eventstore.messaging import brokers
from eventstore.messaging.consumers import intake, rabbitmq

from .conftest import connection_to, count, until
from .test_consumers import arrived, echoed, wanted

pytestmark = pytest.mark.django_db(transaction=True)
# What reaches a consumer of one type: this type, another one of its context, or of another context.
ROUTED = {
    "topic": {"own", "sibling"},
    "direct": {"own"},
    "fanout": {"own", "sibling", "foreign"},
    "headers": {"own"},
}
BODY = '{"counter_id": "c1", "amount": 1}'
kinds = pytest.mark.parametrize("kind", ROUTED)


@pytest.fixture
def consumer(rabbitmq_server, consumers_by, monkeypatch):
    """consumer(kind) of an exchange that the environment names."""

    def start(kind, handle=None):
        monkeypatch.setenv("RABBITMQ_URL", rabbitmq_server.address)
        monkeypatch.setenv("RABBITMQ_EXCHANGE", f"domain-events-{kind}")
        monkeypatch.setenv("RABBITMQ_EXCHANGE_TYPE", kind)
        options = configuration.from_environment(Variables())["rabbitmq"]
        return consumers_by("rabbitmq", options, handle)

    return start


@pytest.fixture
def stored(monkeypatch):
    """The routing keys of what the consumer has stored."""
    found, store = [], intake.store_from_queue

    def noted(consumer, queue, messages):
        number = store(consumer, queue, messages)
        found.extend(each.topic for each in messages)
        return number

    monkeypatch.setattr(intake, "store_from_queue", noted)
    return found


@kinds
def test_relay_and_consumer_work_over_it(kind, consumer, reading):
    of = consumer(kind)
    reading(of)
    count(20)
    until(lambda: arrived(of, 20))
    assert echoed(of) == wanted(20)


@kinds
def test_it_routes_to_the_consumer_what_it_should(kind, consumer, reading, rabbitmq_server, stored):
    of = consumer(kind, {"*": lambda envelope: []})
    probes = {
        "own": of.type,
        "sibling": f"{of.context}.other_changed",
        "foreign": f"x{of.context}.counter_changed",
    }
    send(rabbitmq_server, of, [*probes.values(), of.type])
    reading(of)
    until(lambda: stored.count(f"events.{of.type}") == 2)
    assert {name for name, type_ in probes.items() if f"events.{type_}" in stored} == ROUTED[kind]


def test_the_control_without_bindings_gets_nothing(
    consumer, reading, rabbitmq_server, stored, monkeypatch
):
    monkeypatch.setattr(rabbitmq, "bindings", lambda *_: [])
    of = consumer("topic")
    send(rabbitmq_server, of, [of.type])
    with connection_to(rabbitmq_server) as connection:
        assert connection.channel().queue_declare(of.consumer, passive=True).message_count == 0


def send(server, of, types):
    """Messages of these types, as another producer sends them."""
    with connection_to(server) as connection:
        channel = connection.channel()
        channel.confirm_select()
        for type_ in types:
            message = amqp.Message(BODY, application_headers={"event-type": type_})
            exchange = of.options["exchange"]
            channel.basic_publish_confirm(message, exchange, f"events.{type_}")


@pytest.mark.parametrize("kind", ["direct", "headers"])
def test_types_of_its_topics_that_it_does_not_handle_are_routed_to_it_too(
    kind, consumer, reading, rabbitmq_server, stored
):
    """Else the next one of their stream would wait for them."""
    of = consumer(kind, {"*.unknown": lambda envelope: []})
    (its,) = brokers.readings("rabbitmq")
    assert its.types == [of.type]
    send(rabbitmq_server, of, [of.type])
    reading(of)
    until(lambda: stored == [f"events.{of.type}"])
