"""Real brokers for the session where they can be started, and the toy's counters to publish."""

import itertools
import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import amqp
import pytest
from confluent_kafka import Consumer

from eventstore.delivery import readers
from eventstore.log import ANY, append
from eventstore.messaging import brokers, relay
from eventstore.models import Subscription
from eventstore.postgres import execute
from eventstore.testing import drain
from tests.conftest import NO_BROKER
from tests.eventstore import concurrently
from tests.eventstore.concurrently import url_of_the_test
from tests.eventstore.conftest import (  # noqa: F401
    django_db_setup,
    emptied_quickly,
    toys,
    wire,
)
from tests.eventstore.toy import Counted
from tools.devserver import account, folder, kafka, processes, rabbitmq, services
from tools.devserver.errors import LauncherError

from . import aws_server as aws
from . import consuming, world

LONG = os.environ.get("BROKERS") == "long"
only_long = pytest.mark.skipif(not LONG, reason="runs with BROKERS=long")
# For one test, with the start of its server.
TIMEOUT_SECONDS = 240
# For one wait: a busy machine must not fail a test.
PATIENCE_SECONDS = 60.0
# For the download of Kafka, which happens once on a machine.
FETCH_SECONDS = 60.0
KAFKA = "eventstore.messaging.kafka.Kafka"
RABBITMQ = "eventstore.messaging.rabbitmq.RabbitMQ"
SERVERS = {"sns": "aws_server", "eventbridge": "aws_server"}
_numbers = itertools.count(int(time.time()) % 100_000)


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


def until(condition, *, seconds=PATIENCE_SECONDS):
    return concurrently.until(condition, seconds=seconds)


class Server:
    """A broker of our own, that can be stopped, continued, killed and started again."""

    def __init__(self, kind, path, running):
        self.kind, self.path, self.running = kind, path, running
        self.owner = account.of_services()
        self.home = account.home(path, self.owner)
        self.port = services.start(kind, path, self.home, self.owner, running)

    @property
    def address(self):
        return self.kind.url(self.home, self.port)

    def signal(self, number):
        os.killpg(self.running[-1].process.pid, number)

    def start_again(self):
        """On the same port, with the same data."""
        pids = folder.pids(self.path)
        processes.stop(self.running, pids)
        self.running.clear()
        log = folder.log(self.path, self.kind.NAME)
        program = self.kind.program(self.home, port=self.port, log=log, owner=self.owner)
        self.running.append(processes.start(program, pids))
        until(lambda: self.kind.answers(self.home, self.port))


@contextmanager
def server(kind):
    """A server for as long as the block runs. Without what it needs the test is skipped, and named
    at the end."""
    if absent := kind.missing():
        pytest.skip(f"{NO_BROKER}{kind.NAME} needs {absent}, which is missing")
    if kind.NAME == kafka.NAME:
        try:
            kafka.fetch(FETCH_SECONDS)
        except LauncherError as error:
            pytest.skip(f"{NO_BROKER}{error}")
    running = []
    with folder.throwaway() as path:
        try:
            yield Server(kind, path, running)
        finally:
            processes.kill(running)
            processes.stop(running, folder.pids(path))


@pytest.fixture(scope="session")
def kafka_server():
    with server(kafka) as found:
        yield found


@pytest.fixture(scope="session")
def rabbitmq_server():
    with server(rabbitmq) as found:
        yield found


@pytest.fixture(scope="session")
def aws_server():
    """SNS, SQS and EventBridge. Without the extra the test is skipped, and named at the end."""
    if absent := aws.missing():
        pytest.skip(f"{NO_BROKER}aws needs {absent}, which is missing")
    found = aws.AwsServer()
    try:
        until(found.answers)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in aws.CREDENTIALS.items():
                patch.setenv(name, value)
            yield found
    finally:
        found.stop()


@pytest.fixture(autouse=True)
def _no_relay_is_left():
    yield
    relay.this_process.stop()


def wired(parts_of, broker, options, toys, settings):  # noqa: F811
    """Puts the parts of a wiring in place, under a context of its own; returns their names."""
    context = f"toy{next(_numbers)}"
    settings.EVENTSTORE_BROKERS = {broker: options}
    names, parts = parts_of(context, broker)
    toys(parts.pop("SUBSCRIPTIONS"), **parts)
    (names.name,) = names.relays
    names.context, names.topic = context, f"events.{context}"
    names.broker, names.options = broker, options
    return names


@pytest.fixture
def relays(toys, settings, monkeypatch):  # noqa: F811
    """relays(broker, options) wires one relay to the broker, under a context of its own."""
    monkeypatch.setattr(relay, "FIRST_REST_SECONDS", 0.1)
    monkeypatch.setattr(relay, "LONGEST_REST_SECONDS", 0.5)

    def start(broker, options, *, create=True, **create_options):
        found = wired(world.parts, broker, options, toys, settings)
        if create:
            administration = brokers.administration(broker)
            administration.create(relay.published_by(broker), **create_options)
        return found

    return start


@pytest.fixture
def to_kafka(kafka_server, relays):
    def start(create=True, client=(), **options):
        client = {"bootstrap.servers": kafka_server.address, **dict(client)}
        return relays("kafka", {"TRANSPORT": KAFKA, "client": client, **options}, create=create)

    return start


@pytest.fixture
def to_rabbitmq(rabbitmq_server, relays):
    def start(**options):
        options = {"TRANSPORT": RABBITMQ, "url": rabbitmq_server.address, **options}
        return relays("rabbitmq", options)

    return start


@pytest.fixture
def consumers(request, consumers_by):
    """consumers(broker, handle) wires a relay to the broker, and a consumer of what it carries."""

    def start(broker, handle=None, *, client=(), **options):
        server_ = request.getfixturevalue(SERVERS.get(broker, f"{broker}_server"))
        if broker in SERVERS:
            kind = {"sns": aws.SNS, "eventbridge": aws.EVENTBRIDGE}[broker]
            options = {"TRANSPORT": kind, "region": "eu-central-1", **options}
            options["endpoint"] = server_.address
        elif broker == "kafka":
            client = {"bootstrap.servers": server_.address, **dict(client)}
            options = {"TRANSPORT": KAFKA, "client": client, **options}
        else:
            options = {"TRANSPORT": RABBITMQ, "url": server_.address, **options}
        return consumers_by(broker, options, handle)

    return start


@pytest.fixture
def consumers_by(toys, settings, monkeypatch):  # noqa: F811
    """The same with the options of a broker, as the settings have them."""
    monkeypatch.setattr(relay, "FIRST_REST_SECONDS", 0.1)
    monkeypatch.setattr(relay, "LONGEST_REST_SECONDS", 0.5)

    def start(broker, options, handle=None, *, create=True):
        parts = partial(consuming.parts, handle=handle)
        found = wired(parts, broker, options, toys, settings)
        if create:
            administration = brokers.administration(broker)
            administration.create(relay.published_by(broker), brokers.readings(broker))
        return found

    return start


@pytest.fixture
def reading():
    """reading(of) reads for the consumer in a thread of this process."""
    started = []

    def start(of):
        (reader,) = readers.readers([of.consumer])
        reader.start()
        started.append(reader)
        return reader

    yield start
    for each in started:
        each.stop()
    for each in started:
        each.join()


@pytest.fixture
def consumer_process():
    """consumer_process(of, fate) reads for the consumer in a process of its own."""
    started = []

    def start(of, fate=""):
        arguments = [of.context, of.broker, json.dumps(of.options), *filter(None, [fate])]
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.messaging.consuming", *arguments],
                env=os.environ
                | {"DATABASE_URL": url_of_the_test(), "EVENTSTORE_WAKE_WORKERS": "0"},
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def count(number, *, counters=5, first=1, note=""):
    """Events 1, 2, … of each counter in turn; amount is the number."""
    for start in range(first, first + number, 500):
        amounts = range(start, min(start + 500, first + number))
        for key in range(counters):
            events = [Counted(f"c{key}", n, note) for n in amounts if n % counters == key]
            if events:
                append(f"counter-c{key}", events, expected=ANY)


def settled(name, *, seconds=PATIENCE_SECONDS):
    """Wait until the relay stands at the end of the log."""
    until(lambda: delivered() and _stands_at_end(name), seconds=seconds)


def delivered():
    """Deliver, and let a condition be checked."""
    drain()
    return True


def _stands_at_end(name):
    stands = Subscription.objects.get(pk=name).position
    return stands >= Subscription.objects.get(pk=name.partition("@")[0]).position


def topic_of(server_, topic, number, *, seconds=PATIENCE_SECONDS, settle=0.3):
    """What a read_committed consumer finds in a topic: at least so many messages, and what follows
    within a moment."""
    consumer = Consumer(
        {
            "bootstrap.servers": server_.address,
            "group.id": f"test-{next(_numbers)}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
        }
    )
    consumer.subscribe([topic])
    found, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        for message in consumer.consume(1000, timeout=0.2):
            assert message.error() is None, message.error()
            found.append(message)
            end = min(end, time.monotonic() + settle) if len(found) >= number else end
    consumer.close()
    return found


def by_key(messages):
    """key -> the amounts in the order in which they came."""
    found = {}
    for message in messages:
        value = json.loads(message.value())
        found.setdefault(message.key().decode(), []).append(value["amount"])
    return found


def expected(number, *, counters=5, first=1):
    found = {}
    for n in range(first, first + number):
        found.setdefault(f"c{n % counters}", []).append(n)
    return found


@pytest.fixture
def process(request):
    """process(relay, fate) relays in a process of its own."""
    started = []

    def start(of, fate=""):
        options = json.dumps(of.options)
        started.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.messaging.relaying",
                    of.context,
                    of.broker,
                    options,
                    *filter(None, [fate]),
                ],
                env=os.environ
                | {"DATABASE_URL": url_of_the_test(), "EVENTSTORE_WAKE_WORKERS": "0"},
            )
        )
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()


def end_lease(name):
    """As after a while."""
    execute("UPDATE eventstore_relay SET until = now() WHERE name = %s", [name]).close()


@contextmanager
def queue_on(server_, exchange, *keys):
    """messages() reads what a queue that is bound to the keys holds."""
    name = f"test-{next(_numbers)}"
    with connection_to(server_) as connection:
        channel = connection.channel()
        channel.queue_declare(name, durable=True, auto_delete=False)
        for key in keys:
            channel.queue_bind(name, exchange, key)
    yield lambda: drained(server_, name)


def connection_to(server_):
    login, _, place = server_.address.removeprefix("amqp://").rstrip("/").rpartition("@")
    user, _, password = login.partition(":")
    return amqp.Connection(place, userid=user, password=password)


def drained(server_, name):
    """The messages of a queue, which is empty then."""
    with connection_to(server_) as connection:
        channel, found = connection.channel(), []
        while message := channel.basic_get(name, no_ack=True):
            found.append(message)
        return found
