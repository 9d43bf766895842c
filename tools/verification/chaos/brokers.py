"""Kafka and RabbitMQ of a run, each behind a proxy; and what their stock clients read back."""

import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from urllib.parse import urlsplit

import amqp
import psycopg
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka.admin import AdminClient

from tools.devserver import account, environment, kafka, rabbitmq, services
from tools.devserver.account import Account
from tools.devserver.errors import LauncherError
from tools.devserver.ports import HOST
from tools.devserver.processes import Program, Running
from tools.verification.chaos.capture import Capture
from tools.verification.chaos.proxy import Network, Proxy

NAMES = (kafka.NAME, rabbitmq.NAME)
SETTINGS_MODULE = "tools.verification.chaos.settings"
CONSUMERS = {name: f"chaos.{name}" for name in NAMES}
TABLE = """
    CREATE TABLE chaos_effect (
        id bigserial PRIMARY KEY, consumer text, event_id text, stream text, position bigint,
        sequence bigint
    );
    CREATE INDEX ON chaos_effect (consumer, event_id);
"""
# The beginnings of the names of topics; a Kafka Connect keeps its connectors in some of them.
OURS = ("events.", "relays.", "connect.", "__debezium-heartbeat.")
EXCHANGE, TAP = "domain-events", "chaos.tap"
DEAD = ".dlq"
PATIENCE_SECONDS = 60.0
# How long a queue must bring nothing to count as read.
QUIET_SECONDS = 1.0
READY_SECONDS, CONTROL_SECONDS = 5.0, 45.0
ALARM = (
    "rabbit_disk_monitor:set_disk_free_limit(1000000000000000),"
    " timer:apply_after({milliseconds}, rabbit_disk_monitor, set_disk_free_limit, [50000000]),"
    " rabbit_alarm:get_alarms()."
)


@dataclass(frozen=True)
class Record:
    """A message as a broker has it. topic: of Kafka, or the beginning of the routing key. part,
    offset: of Kafka; 0 in a queue. key: of Kafka, or the attribute partitionkey."""

    topic: str
    part: int
    key: str
    id: str
    type: str
    stream: str
    position: int
    sequence: int
    offset: int = 0


def missing() -> str:
    """What is missing to run both; "" when nothing is."""
    absent = [f"{kind.NAME} needs {need}" for kind in (kafka, rabbitmq) if (need := kind.missing())]
    if not absent:
        try:
            kafka.fetch()
        except LauncherError as error:
            absent = [str(error)]
    return "; ".join(absent)


class _BehindProxy:
    """Kafka, which sends its clients to the port of the proxy."""

    NAME = kafka.NAME

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy

    def program(self, home: Path, *, port: int, log: Path, owner: Account) -> Program:
        return kafka.program(home, port=port, log=log, owner=owner, advertised=self.proxy.port)

    def answers(self, home: Path, port: int) -> bool:
        return kafka.answers(home, port)


class Brokers:
    """settings: of processes that use them, through the proxies. capture: Kafka Connect, where it
    takes part."""

    def __init__(
        self, path: Path, running: list[Running], network: Network, *, with_capture: bool = False
    ) -> None:
        self.owner = account.of_services()
        self.home = account.home(path, self.owner)
        self.proxies = {name: network.proxy_to(0) for name in NAMES}
        kinds: dict[str, services.Kind] = {
            kafka.NAME: _BehindProxy(self.proxies[kafka.NAME]),
            rabbitmq.NAME: rabbitmq,
        }
        self.programs: dict[str, Program] = {}
        for name, kind in kinds.items():
            self.proxies[name].target = services.start(kind, path, self.home, self.owner, running)
            self.programs[name] = running[-1].program
        self.settings = {
            environment.KAFKA: kafka.url(self.home, self.proxies[kafka.NAME].port),
            environment.RABBITMQ: rabbitmq.url(self.home, self.proxies[rabbitmq.NAME].port),
        }
        self.capture: Capture | None = None
        if with_capture:
            self.capture = Capture(path, self.home, self.owner, self.settings)

    def prepare(self, database: str) -> None:
        """Empty topics and queues, and the table of the effects."""
        self.wait_until_ready()
        self._delete_all()
        settings = {
            "DATABASE_URL": database,
            "DJANGO_SETTINGS_MODULE": SETTINGS_MODULE,
            "SECRET_KEY": "only-for-chaos",
            "EVENTSTORE_WAKE_WORKERS": "0",
            **self.settings,
        }
        command = [sys.executable, "-W", "ignore", "manage.py", "brokers", "--create"]
        subprocess.run(
            command,
            env=environment.with_settings(settings),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        with self._channel() as channel:
            channel.queue_declare(TAP, durable=True, auto_delete=False)
            channel.queue_bind(TAP, EXCHANGE, "#")
        with psycopg.connect(database) as connection:
            connection.execute(TABLE)

    def wait_until_ready(self) -> None:
        until = monotonic() + PATIENCE_SECONDS
        while not all(self.answers(name) for name in NAMES):
            if monotonic() > until:
                raise SystemExit(f"chaos: no answer from a broker; see {self.home}")
            sleep(0.2)

    def alarm(self, seconds: float) -> str:
        """RabbitMQ takes its disk for full, and blocks publishers, for so long. Returns its
        alarms. The node itself ends it, so that nothing else has to."""
        return self._control("eval", ALARM.format(milliseconds=int(seconds * 1000)))

    def waiting(self, queue: str) -> int:
        """The messages that the queue has: ready, or with a consumer and not acknowledged. -1 if
        the server does not answer."""
        listed = self._control("list_queues", "name", "messages", "--quiet", "--no-table-headers")
        counts = dict(line.split() for line in listed.splitlines() if line)
        return int(counts.get(queue, -1))

    def kafka_records(self) -> list[Record]:
        """What a read_committed consumer finds, in the order of each partition."""
        reader = Consumer(self._client("chaos.reader", {"enable.partition.eof": True}))
        try:
            places = list(self._partitions(reader))
            reader.assign(places)
            found: dict[tuple[str, int], list[Record]] = {
                (each.topic, each.partition): [] for each in places
            }
            ended: set[tuple[str, int]] = set()
            until = monotonic() + PATIENCE_SECONDS
            while len(ended) < len(places) and monotonic() < until:
                for message in reader.consume(1000, timeout=0.5):
                    place = message.topic(), message.partition()
                    if message.error() is None:
                        found[place].append(_from_kafka(message))
                    elif message.error().code() == KafkaError._PARTITION_EOF:
                        ended.add(place)
            if len(ended) < len(places):
                raise SystemExit("chaos: Kafka's topics cannot be read to their ends")
            return [record for place in sorted(found) for record in found[place]]
        finally:
            reader.close()

    def rabbitmq_records(self) -> list[Record]:
        """What has come to the queue that is bound to everything since the last call."""
        found: list[Record] = []
        with self._channel() as channel:
            heard = monotonic()

            def arrived(message: Any) -> None:
                nonlocal heard
                heard = monotonic()
                found.append(_from_rabbitmq(message))

            channel.basic_consume(TAP, callback=arrived, no_ack=True)
            while monotonic() - heard < QUIET_SECONDS:
                try:
                    channel.connection.drain_events(timeout=QUIET_SECONDS / 2)
                except TimeoutError:
                    continue
        return found

    def _partitions(self, reader: Consumer) -> Iterator[TopicPartition]:
        for name, topic in reader.list_topics(timeout=READY_SECONDS).topics.items():
            if name.startswith("events.") and not name.endswith(DEAD):
                for number in topic.partitions:
                    yield TopicPartition(name, number, OFFSET_BEGINNING)

    def _delete_all(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.settings[environment.KAFKA]})
        until = monotonic() + PATIENCE_SECONDS
        while names := self._ours(admin):
            for future in admin.delete_topics(names).values():
                future.exception(READY_SECONDS)
            if monotonic() > until:
                raise SystemExit(f"chaos: Kafka does not delete {', '.join(names)}")
            sleep(0.5)
        with self._channel() as channel:
            for consumer in CONSUMERS.values():
                channel.queue_delete(consumer)
                channel.queue_delete(consumer + DEAD)
            channel.queue_delete(TAP)

    def _ours(self, admin: AdminClient) -> list[str]:
        names = admin.list_topics(timeout=READY_SECONDS).topics
        return [each for each in names if each.startswith(OURS)]

    def _client(self, group: str, extra: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "bootstrap.servers": self.settings[environment.KAFKA],
            "group.id": group,
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            **extra,
        }

    def answers(self, name: str) -> bool:
        kind = {kafka.NAME: kafka, rabbitmq.NAME: rabbitmq}[name]
        return bool(kind.answers(self.home, self.proxies[name].port))

    @contextmanager
    def _channel(self) -> Iterator[Any]:
        parts = urlsplit(self.settings[environment.RABBITMQ])
        connection = amqp.Connection(
            f"{HOST}:{parts.port}", userid=parts.username, password=parts.password
        )
        connection.connect()
        try:
            yield connection.channel()
        finally:
            connection.collect()

    def _control(self, *command: str) -> str:
        """The output of rabbitmqctl; "" if it fails, as while the server is down."""
        program = self.programs[rabbitmq.NAME]
        try:
            done = subprocess.run(
                [str(rabbitmq.control()), *command],
                env={**os.environ, **program.environment},
                cwd=program.folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=CONTROL_SECONDS,
                **program.account.for_popen(),
            )
        except subprocess.TimeoutExpired:
            return ""
        return "" if done.returncode else done.stdout


def _from_kafka(message: Any) -> Record:
    headers = {name: value.decode() for name, value in message.headers() or () if value}
    key = (message.key() or b"").decode()
    record = _record(message.topic(), message.partition(), key, "ce_", headers)
    return replace(record, offset=message.offset())


def _from_rabbitmq(message: Any) -> Record:
    headers = {name: str(value) for name, value in (message.headers or {}).items()}
    topic = ".".join(message.delivery_info["routing_key"].split(".")[:2])
    return _record(topic, 0, headers.get("ce-partitionkey", ""), "ce-", headers)


def _record(topic: str, part: int, key: str, prefix: str, headers: Mapping[str, str]) -> Record:
    """Of a CloudEvent in binary mode."""
    found: dict[str, str] = defaultdict(
        str, {name.removeprefix(prefix): value for name, value in headers.items()}
    )
    return Record(
        topic=topic,
        part=part,
        key=key,
        id=found["id"],
        type=found["type"],
        stream=found["stream"],
        position=int(found["position"] or 0),
        sequence=int(found["sequence"] or 0),
    )
