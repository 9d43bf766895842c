"""Brokers behind TLS and passwords, by the settings alone: relay and consumer work, and what is
wrong with password, certificate or address is said in one sentence."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from django.core.management import CommandError, call_command

from config import brokers as configuration
from config.variables import Variables
from eventstore.messaging import brokers
from eventstore.messaging.transport import BrokerUnreachable
from eventstore.models import RelayLease, Subscription
from tests.eventstore.concurrently import url_of_the_test
from tools.devserver import kafka, ports, rabbitmq
from tools.devserver.ports import HOST

from . import certificates
from .conftest import count, delivered, server, until
from .test_consumers import arrived, echoed, wanted

pytestmark = pytest.mark.django_db(transaction=True)
USER, PASSWORD = "orders", "a password with spaces"
# Kafka has a listener without TLS for itself; the tests know the secured one alone.
KAFKA_PROPERTIES = """
listeners=PLAINTEXT://{HOST}:{port},CONTROLLER://{HOST}:{controller},SASL_SSL://{HOST}:{secured}
advertised.listeners=PLAINTEXT://{HOST}:{port},SASL_SSL://{HOST}:{secured}
controller.quorum.voters=1@{HOST}:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.sasl_ssl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";
listener.name.sasl_ssl.ssl.keystore.type=PEM
listener.name.sasl_ssl.ssl.keystore.location={pem}
"""
RABBITMQ_PROPERTIES = """
listeners.ssl.1 = {HOST}:{secured}
ssl_options.certfile = {certificate}
ssl_options.keyfile = {key}
"""


class Secured:
    """A kind of server that listens behind TLS too."""

    def __init__(self, kind, made):
        self.kind, self.made, self.secured, self.controller = kind, made, ports.free(), ports.free()

    def __getattr__(self, name):
        return getattr(self.kind, name)

    def program(self, home, *, port, log, owner):
        properties = self._kafka if self.kind is kafka else self._rabbitmq
        lines = properties(home, port, owner)
        return self.kind.program(home, port=port, log=log, owner=owner, properties=lines)

    def _kafka(self, home, port, owner):
        pem = home / "server.pem"
        owner.write(pem, self.made.key.read_text() + self.made.certificate.read_text())
        return KAFKA_PROPERTIES.format(
            HOST=HOST,
            USER=USER,
            PASSWORD=PASSWORD,
            port=port,
            controller=self.controller,
            secured=self.secured,
            pem=pem,
        )

    def _rabbitmq(self, home, port, owner):
        certificate, key = home / "server.crt", home / "server.key"
        owner.write(certificate, self.made.certificate.read_text())
        owner.write(key, self.made.key.read_text())
        return RABBITMQ_PROPERTIES.format(
            HOST=HOST, secured=self.secured, certificate=certificate, key=key
        )


@pytest.fixture(scope="module")
def authorities(tmp_path_factory):
    """Ours; another one; and the servers' certificate."""
    if absent := certificates.missing():
        pytest.skip(f"certificates need {absent}, which is missing")
    folder = tmp_path_factory.mktemp("certificates")
    ours = certificates.authority(folder, "ours")
    return SimpleNamespace(
        ours=ours.certificate,
        other=certificates.authority(folder, "other").certificate,
        server=certificates.server(folder, "server", ours, HOST),
    )


@pytest.fixture(scope="module")
def secured_kafka(authorities):
    kind = Secured(kafka, authorities.server)
    with server(kind):
        client = {"bootstrap.servers": f"{HOST}:{kind.secured}", "log_level": 0}
        with pytest.raises(KafkaException):
            AdminClient(client).list_topics(timeout=1)
        yield {
            "KAFKA_BOOTSTRAP_SERVERS": f"{HOST}:{kind.secured}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_CA": str(authorities.ours),
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": USER,
            "KAFKA_SASL_PASSWORD": PASSWORD,
        }


@pytest.fixture(scope="module")
def secured_rabbitmq(authorities):
    kind = Secured(rabbitmq, authorities.server)
    with server(kind) as found:
        login = found.address.removeprefix("amqp://").rpartition("@")[0]
        yield {
            "RABBITMQ_URL": f"amqps://{login}@{HOST}:{kind.secured}/",
            "RABBITMQ_CA": str(authorities.ours),
        }


@pytest.fixture
def environment(request, broker):
    """Of a process that may publish and read."""
    return dict(request.getfixturevalue(f"secured_{broker}"))


def options(environment, broker, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return configuration.from_environment(Variables())[broker]


both = pytest.mark.parametrize("broker", ["kafka", "rabbitmq"])


@both
def test_relay_and_consumer_work_by_the_settings(
    broker, environment, consumers_by, reading, monkeypatch
):
    of = consumers_by(broker, options(environment, broker, monkeypatch))
    reading(of)
    count(20)
    until(lambda: arrived(of, 20))
    assert echoed(of) == wanted(20)


def wrong_password(environment, authorities, tmp_path):
    if "RABBITMQ_URL" in environment:
        login, _, place = environment["RABBITMQ_URL"].rpartition("@")
        return environment | {"RABBITMQ_URL": f"{login}-wrong@{place}"}
    return environment | {"KAFKA_SASL_PASSWORD": "wrong"}


def wrong_authority(environment, authorities, tmp_path):
    name = "RABBITMQ_CA" if "RABBITMQ_URL" in environment else "KAFKA_CA"
    return environment | {name: str(authorities.other)}


def missing_authority(environment, authorities, tmp_path):
    name = "RABBITMQ_CA" if "RABBITMQ_URL" in environment else "KAFKA_CA"
    return environment | {name: str(tmp_path / "not-there.pem")}


def other_host(environment, authorities, tmp_path):
    """The certificate is for the address, and not for this name."""
    return {name: value.replace(HOST, "localhost") for name, value in environment.items()}


WRONG = {
    ("kafka", wrong_password): "Authentication failed",
    ("kafka", wrong_authority): "certificate verify failed",
    ("kafka", other_host): "certificate verify failed",
    ("kafka", missing_authority): "not-there.pem",
    ("rabbitmq", wrong_password): "ACCESS_REFUSED",
    ("rabbitmq", wrong_authority): "certificate verify failed",
    ("rabbitmq", other_host): "Hostname mismatch",
    ("rabbitmq", missing_authority): "not-there.pem",
}
wrongs = pytest.mark.parametrize(
    ("broker", "wrong", "cause"),
    [(broker, wrong, cause) for (broker, wrong), cause in WRONG.items()],
    ids=[f"{broker}-{wrong.__name__}" for broker, wrong in WRONG],
)


@wrongs
def test_what_is_wrong_is_named_and_nothing_is_published(
    broker, wrong, cause, environment, authorities, tmp_path, consumers_by, monkeypatch
):
    monkeypatch.setattr("eventstore.messaging.kafka.administration.METADATA_SECONDS", 2.0)
    changed = wrong(environment, authorities, tmp_path)
    of = consumers_by(broker, options(changed, broker, monkeypatch), create=False)
    count(5)
    until(lambda: delivered() and RelayLease.objects.filter(pk=of.name).exclude(error="").exists())
    error = RelayLease.objects.get(pk=of.name).error
    assert error.startswith("BrokerUnreachable: ")
    assert cause in error
    assert Subscription.objects.get(pk=of.name).position == 0
    with pytest.raises(BrokerUnreachable, match=cause):
        read(broker)
    with pytest.raises(CommandError, match=f"^{broker}: BrokerUnreachable: .*{cause}"):
        call_command("brokers")


def read(broker):
    (reading,) = brokers.readings(broker)
    source = brokers.source(broker, reading)
    try:
        for _ in range(100):
            source.read(0.1)
    finally:
        source.close()


@both
def test_the_command_says_it_in_a_sentence(broker, environment, authorities, tmp_path):
    done = manage("brokers", wrong_password(environment, authorities, tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    (sentence,) = done.stderr.strip().splitlines()
    assert sentence.startswith(f"CommandError: {broker}: BrokerUnreachable: ")
    assert WRONG[broker, wrong_password] in sentence


def manage(command, environment):
    return subprocess.run(
        [sys.executable, "manage.py", command],
        env=os.environ | {"DATABASE_URL": url_of_the_test()} | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
