"""One fault or more for each check of the doctor: injected for real, and repaired afterwards."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, cast
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.test.utils import override_settings
from django.utils import timezone

from eventstore import postgres, registry
from eventstore import settings as ours
from eventstore.delivery import heartbeats
from eventstore.messaging.cdc.ways import REFILL, TO_CDC
from eventstore.messaging.transport import BrokerState, QueueState
from eventstore.operations import control, doctor
from eventstore.operations.doctor import Check, Limits, broker, relays, server, sessions
from eventstore.operations.lag import Lag
from eventstore.outbox import cursors
from eventstore.postgres import execute, rows
from eventstore.projections import rebuild
from eventstore.subscriptions import AVRO, Consumer, Publication, Relay
from eventstore.webhooks import secrets

from . import aws, captured
from .ports import refused_port

LIMITS = Limits()
# Of the secrets of webhooks: the key that the settings have.
KEY_ID = secrets.key_id(ours.webhook_keys()[0])
# A limit for faults that the doctor reports only after minutes otherwise.
SOON = timedelta(seconds=0.2)
WAIT_SECONDS = 0.4
SILENT = timedelta(seconds=2)

APPEND = "SELECT eventstore_append(%s::json, NULL)"
ENQUEUE = """
    INSERT INTO eventstore_outbox (position, topic, key, type, id, payload, metadata, created_at)
    VALUES (nextval('eventstore_position'), %s, 'a', 'doctor.nothing', gen_random_uuid(), '{}',
            '{}', now() - interval '1 day')
"""
STOP_MOVING = "UPDATE eventstore_subscription SET moved_at = now() - interval '1 hour'"
MOVE_PAST_ALL = """
    UPDATE eventstore_subscription
    SET position = (SELECT max(position) FROM eventstore_outbox)
    WHERE name <> 'eventstore.outbox'
"""
PARK = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error)
    SELECT 'eventstore.snapshots', number, 'a', %s, 12, now() + %s, 'Boom'
    FROM generate_series(1, %s) AS number
"""
FAIL = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts, due_at, error,
        traceback, parked_at)
    VALUES ('eventstore.snapshots', 1, 'a', %s, 5, now() + %s, 'Boom', 'Boom', now() - %s::interval)
"""
RUN_SAGA = """
    INSERT INTO eventstore_saga (saga, key, status, state, position, correlation_id, deadline_at)
    VALUES ('doctor', 'a', %s, '{}', 1, gen_random_uuid(), now() + %s)
"""
ADD_WEBHOOK = """
    WITH endpoint AS (
        INSERT INTO eventstore_webhook_endpoint
            (id, owner, is_for_all, url, types, after, status, disabled_reason, disabled_at, salt,
             key_id, queued, rest_until)
        SELECT gen_random_uuid(), 'doctor', false, 'https://doctor.example/', '["*"]', 0, status,
               CASE WHEN status = 'disabled' THEN 'gone' ELSE '' END, now(), '', key, 1, now() - ago
        FROM (VALUES (%s::text, %s::interval, %s::text)) AS given(status, ago, key)
        RETURNING id, rest_until
    ), message AS (
        INSERT INTO eventstore_webhook_message (id, type, key, position, body)
        VALUES (gen_random_uuid(), 'doctor.nothing', 'doctor-1', 1, '{}')
        RETURNING id
    )
    INSERT INTO eventstore_webhook_delivery (endpoint_id, message_id, key, bytes, due_at, until)
    SELECT endpoint.id, message.id, 'doctor-1', 2, rest_until, now() + interval '1 day'
    FROM endpoint, message
"""
REMOVE_WEBHOOK = """
    WITH deliveries AS (
        DELETE FROM eventstore_webhook_delivery WHERE key = 'doctor-1'
    ), messages AS (
        DELETE FROM eventstore_webhook_message WHERE key = 'doctor-1'
    )
    DELETE FROM eventstore_webhook_endpoint WHERE owner = 'doctor'
"""
ADD_HEARTBEAT = """
    INSERT INTO eventstore_heartbeat (kind, name, backend, at)
    VALUES ('worker', 'elsewhere:1', %s, now())
"""
FAIL_REBUILD = "UPDATE eventstore_rebuild SET state = 'failed', error = 'Boom'"
LIMIT_CONNECTIONS = """
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %%I CONNECTION LIMIT {limit}', current_database());
    END $$
"""
SET = """
    DO $$ BEGIN
        EXECUTE format('ALTER DATABASE %%I SET {name} = %%L', current_database(), '{value}');
    END $$
"""
RESET = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I RESET {name}', current_database()); END $$"
REPLACE_FUNCTION = """
    CREATE OR REPLACE FUNCTION eventstore_has_parked(owner text) RETURNS boolean
    LANGUAGE sql AS 'SELECT false'
"""
PREPARE = "PREPARE TRANSACTION 'doctor'"
ROLL_BACK = "ROLLBACK PREPARED 'doctor'"
IS_SUPERUSER = "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
ALLOWS_PREPARE = "SELECT current_setting('max_prepared_transactions') <> '0'"
DISABLE_TRIGGER = "ALTER TABLE eventstore_event DISABLE TRIGGER {trigger}"
ENABLE_TRIGGER = "ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {trigger}"
UNAPPLY_MIGRATION = """
    DELETE FROM django_migrations
    WHERE id = (SELECT max(id) FROM django_migrations WHERE app = 'eventstore')
    RETURNING app, name
"""
APPLY_MIGRATION = "INSERT INTO django_migrations (app, name, applied) VALUES (%s, %s, now())"
BEGIN_EPOCH = """
    SELECT eventstore_begin_epoch((SELECT mark FROM eventstore_epoch_mark), 'went back', 'Boom')
"""
REMOVE_EPOCH = """
    WITH over AS (DELETE FROM eventstore_epoch WHERE reason = 'went back')
    UPDATE eventstore_epoch_mark
    SET mark = (SELECT mark FROM eventstore_epoch WHERE reason <> 'went back'
        ORDER BY number DESC LIMIT 1)
"""
# As after a restore into another server.
MOVE_LOG = "UPDATE eventstore_epoch SET system_identifier = system_identifier + 1"
MOVE_LOG_BACK = "UPDATE eventstore_epoch SET system_identifier = system_identifier - 1"
FAIL_RELAY = """
    INSERT INTO eventstore_relay (name, token, settled, holder, until, error, failed_at)
    VALUES ('doctor@nowhere', 1, 0, 'nobody', now(), 'Boom', now() - interval '1 minute')
"""
KILL_RELAY = """
    INSERT INTO eventstore_relay (name, token, settled, holder, until)
    VALUES ('doctor@nowhere', 1, 0, 'nobody', now() - interval '5 minutes')
"""
BLOCK_RELAY = """
    INSERT INTO eventstore_relay (name, token, settled, holder, until, error, failed_at)
    VALUES ('doctor@nowhere', 1, 0, 'nobody', now(), 'BrokerBlocked: low on memory', now())
"""
ADD_OFFSET = """
    INSERT INTO eventstore_consumer_offset
        (consumer, topic, partition, next, found, moved_at, reached)
    VALUES ('doctor.reader', 'events.doctor', 0, 10, %s, now() - interval '2 minutes', %s)
"""
REMOVE_OFFSET = "DELETE FROM eventstore_consumer_offset WHERE consumer = 'doctor.reader'"
REMOVE_READER = "DELETE FROM eventstore_heartbeat WHERE kind = 'consumer doctor.reader'"
REMOVE_RELAY = "DELETE FROM eventstore_relay WHERE name = 'doctor@nowhere'"

DELETE_SCHEMAS = (
    "UPDATE eventstore_subject_version SET deleted = true WHERE subject LIKE 'events.%%'"
)
RESTORE_SCHEMAS = (
    "UPDATE eventstore_subject_version SET deleted = false WHERE subject LIKE 'events.%%'"
)

LATER = timedelta(hours=1)
EARLIER = -LATER


class Fault(NamedTuple):
    """inject: a context manager that repairs the fault at its end. checks: with replacements for
    what cannot be changed for real, such as the clock."""

    inject: Callable[[], AbstractContextManager[Any]]
    limits: Limits = LIMITS
    checks: Sequence[Check] = doctor.CHECKS


def send_heartbeats() -> None:
    """As a worker and Celery beat do."""
    heartbeats.forget_own()
    heartbeats.note(heartbeats.WORKER)
    heartbeats.note(heartbeats.BEAT)


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def open_transaction(statement: str, *params: Any) -> Iterator[None]:
    """A transaction on another connection that is not ended."""
    with postgres.beside() as connection:
        connection.execute("BEGIN")
        connection.execute(statement, params)
        time.sleep(WAIT_SECONDS)
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def event_to_append(type_: str) -> str:
    """The parameter of APPEND: one event, as JSON."""
    event = {
        "stream": f"doctor-{uuid4()}",
        "version": 1,
        "expected": 0,
        "id": str(uuid4()),
        "type": type_,
        "schema_version": 1,
        "data": {},
        "correlation_id": str(uuid4()),
        "metadata": {},
    }
    return json.dumps([event])


@contextmanager
def _executed(do: str, undo: str, params: tuple[Any, ...] = ()) -> Iterator[None]:
    execute(do, params).close()
    try:
        yield
    finally:
        execute(undo).close()


@contextmanager
def _dead_subscription() -> Iterator[None]:
    with _executed(
        ENQUEUE, "DELETE FROM eventstore_outbox", (next(iter(registry.subscriptions())),)
    ):
        execute(STOP_MOVING).close()
        yield


@contextmanager
def _uncleared_outbox() -> Iterator[None]:
    with (
        _executed(ENQUEUE, "DELETE FROM eventstore_outbox", (cursors.SNAPSHOTS,)),
        _executed(MOVE_PAST_ALL, "UPDATE eventstore_subscription SET position = 0"),
    ):
        yield


@contextmanager
def _paused() -> Iterator[None]:
    name = next(iter(registry.subscriptions()))
    control.pause(name, who="doctor", reason="a try")
    try:
        yield
    finally:
        control.resume(name, who="doctor")


@contextmanager
def _deaf_worker() -> Iterator[None]:
    """A worker that is connected and sends no heartbeats."""
    with postgres.beside() as beside:
        backend = beside.rows("SELECT pg_backend_pid()")[0]
        with _executed(
            ADD_HEARTBEAT, "DELETE FROM eventstore_heartbeat WHERE name = 'elsewhere:1'", backend
        ):
            time.sleep(SILENT.total_seconds() + WAIT_SECONDS)
            send_heartbeats()
            yield


@contextmanager
def _failed_rebuild() -> Iterator[None]:
    name = rebuild.projections()[0]
    rebuild.request(name, who="doctor")
    rebuild.cancel(name, who="doctor")
    with (
        _executed("SELECT", "DELETE FROM eventstore_rebuild"),
        _executed(FAIL_REBUILD, "DELETE FROM eventstore_rebuild_share"),
    ):
        yield


@contextmanager
def _stalled_rebuild() -> Iterator[None]:
    """No worker takes it."""
    name = rebuild.projections()[0]
    rebuild.request(name, who="doctor")
    time.sleep(WAIT_SECONDS)
    try:
        yield
    finally:
        rebuild.cancel(name, who="doctor")
        execute("DELETE FROM eventstore_rebuild_share").close()
        execute("DELETE FROM eventstore_rebuild").close()


@contextmanager
def _no_broker() -> Iterator[None]:
    with (
        refused_port() as port,
        _set("CELERY_BROKER_URL", f"redis://127.0.0.1:{port}/0"),
        _set("EVENTSTORE_WAKE_WORKERS", True),
    ):
        yield


@contextmanager
def _broker_down() -> Iterator[None]:
    with refused_port() as port, _rabbitmq_at(f"amqp://127.0.0.1:{port}/"):
        yield


def _rabbitmq_at(url: str) -> AbstractContextManager[None]:
    transport = "eventstore.messaging.rabbitmq.RabbitMQ"
    return _set("EVENTSTORE_BROKERS", {"rabbitmq": {"TRANSPORT": transport, "url": url}})


KAFKA = {
    "TRANSPORT": "eventstore.messaging.kafka.Kafka",
    "client": {"bootstrap.servers": "127.0.0.1:1"},
}
READER = "doctor.reader"


@contextmanager
def _reader(*, found: int | None = None, reached: int = 0, is_heard: bool = True) -> Iterator[None]:
    """A consumer of Kafka that has read up to offset 10. is_heard: it sends heartbeats."""
    with (
        _consumer("kafka", is_heard=is_heard),
        _set("EVENTSTORE_BROKERS", {"kafka": KAFKA}),
        _executed(ADD_OFFSET, REMOVE_OFFSET, (found, reached)),
    ):
        yield


@contextmanager
def _consumer(broker: str, *, is_heard: bool = True) -> Iterator[None]:
    subscriptions: Any = registry.subscriptions()
    subscriptions[READER] = Consumer(broker, ["events.doctor"], {})
    try:
        with _executed("SELECT", REMOVE_READER):
            if is_heard:
                heartbeats.note(heartbeats.consumer(READER))
            yield
    finally:
        del subscriptions[READER]


@contextmanager
def _on_aws(fault: Callable[[], AbstractContextManager[None]]) -> Iterator[None]:
    """With a consumer, whose queue and topic it needs."""
    with _consumer(aws.NAME), fault():
        yield


def _broker_has(**parts: Any) -> Sequence[Check]:
    """The broker of _reader, without a server. There are tests with real brokers, too."""

    def state(broker: str, offsets: Any) -> BrokerState:
        return BrokerState(**parts)

    return _replaced(
        {relays.topics: partial(relays.topics, state=state, pause=lambda seconds: None)}
    )


@contextmanager
def _no_registry() -> Iterator[None]:
    with (
        refused_port() as port,
        _set("EVENTSTORE_SCHEMA_REGISTRY", {"url": f"http://127.0.0.1:{port}"}),
    ):
        yield


@contextmanager
def _unregistered() -> Iterator[None]:
    """A relay that writes in Avro what the registry does not have."""
    context = next(iter(registry.published_types())).partition(".")[0]
    name, subscriptions = f"{context}.doctor@nowhere", cast(Any, registry.subscriptions())
    subscriptions[name] = Relay(Publication({}, encoding=AVRO), "nowhere")
    try:
        with _executed(DELETE_SCHEMAS, RESTORE_SCHEMAS):
            yield
    finally:
        del subscriptions[name]


@contextmanager
def _a_relay() -> Iterator[None]:
    subscriptions: Any = registry.subscriptions()
    subscriptions["doctor@nowhere"] = Relay(Publication({}), "nowhere")
    try:
        yield
    finally:
        del subscriptions["doctor@nowhere"]


def _webhook(status: str, *, ago: str, key: str) -> AbstractContextManager[None]:
    """An endpoint, and a delivery that was due so long ago."""
    return _executed(ADD_WEBHOOK, REMOVE_WEBHOOK, (status, ago, key))


def _a_late_relay() -> Sequence[Lag]:
    now = timezone.now()
    return [Lag("doctor@nowhere", "relay", 1, 9, False, now, 8, 1000.0, 0, 0, False)]


@contextmanager
def _no_schemas() -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory() as empty,
        _set("EVENTSTORE_SCHEMAS", type(settings.BASE_DIR)(empty)),
    ):
        yield


def _set(name: str, value: Any) -> AbstractContextManager[None]:
    return override_settings(**{name: value})


@contextmanager
def _database_setting(name: str, value: str) -> Iterator[None]:
    """Takes effect on new connections."""
    with _executed(SET.format(name=name, value=value), RESET.format(name=name)):
        transaction.get_connection().close()
        yield
    transaction.get_connection().close()


@contextmanager
def _connected_with(option: str) -> Iterator[None]:
    """A session setting that differs from ours, as behind a pooler."""
    database = transaction.get_connection()
    was = database.settings_dict["OPTIONS"]
    database.settings_dict["OPTIONS"] = was | {"options": f"{was.get('options', '')} -c {option}"}
    database.close()
    try:
        yield
    finally:
        database.settings_dict["OPTIONS"] = was
        database.close()


@contextmanager
def _prepared(statement: str, *params: Any) -> Iterator[None]:
    """A transaction that is prepared for a two-phase commit and not ended."""
    with postgres.beside() as connection:
        connection.execute("BEGIN")
        connection.execute(statement, params)
        connection.execute(PREPARE)
        time.sleep(WAIT_SECONDS)
        try:
            yield
        finally:
            connection.execute(ROLL_BACK)


@contextmanager
def _sequence_behind() -> Iterator[None]:
    """As after a restore without sequences, or the promotion of a replica."""
    execute(ENQUEUE, [cursors.SNAPSHOTS]).close()
    try:
        with _executed(
            "SELECT setval('eventstore_position', 1, false)",
            "SELECT setval('eventstore_position', 1000000)",
        ):
            yield
    finally:
        execute("DELETE FROM eventstore_outbox").close()


@contextmanager
def _unreadable() -> Iterator[None]:
    execute(APPEND, [event_to_append("doctor.unheard_of")]).close()
    try:
        yield
    finally:
        execute("DELETE FROM eventstore_outbox").close()
        trigger = "eventstore_append_only"
        with _executed(
            DISABLE_TRIGGER.format(trigger=trigger), ENABLE_TRIGGER.format(trigger=trigger)
        ):
            execute("DELETE FROM eventstore_event").close()


@contextmanager
def _migration_missing() -> Iterator[None]:
    (removed,) = rows(UNAPPLY_MIGRATION)
    try:
        yield
    finally:
        execute(APPLY_MIGRATION, removed).close()


@contextmanager
def _function_replaced() -> Iterator[None]:
    ((original,),) = rows("SELECT pg_get_functiondef('eventstore_has_parked'::regproc)")
    with _executed(REPLACE_FUNCTION, str(original)):
        yield


@contextmanager
def _index_gone() -> Iterator[None]:
    ((original,),) = rows("SELECT pg_get_indexdef('eventstore_event_correlation'::regclass)")
    with _executed("DROP INDEX eventstore_event_correlation", str(original)):
        yield


@contextmanager
def _away() -> Iterator[None]:
    """The server cannot be reached."""
    database = transaction.get_connection()
    was = database.settings_dict["PORT"]
    with refused_port() as port:
        database.close()
        database.settings_dict["PORT"] = port
        try:
            yield
        finally:
            database.close()
            database.settings_dict["PORT"] = was


def _replaced(replacements: dict[Any, Check]) -> Sequence[Check]:
    return tuple(replacements.get(each, each) for each in doctor.CHECKS)


@contextmanager
def _rabbitmq() -> Iterator[None]:
    with (
        _set("CELERY_BROKER_URL", "amqp://doctor@127.0.0.1/"),
        _set("EVENTSTORE_WAKE_WORKERS", True),
    ):
        yield


Inject = Callable[[], AbstractContextManager[Any]]


def _parked(status: str, due: timedelta, count: int) -> Inject:
    return partial(_executed, PARK, "DELETE FROM eventstore_parked", (status, due, count))


def _failing() -> AbstractContextManager[None]:
    return _executed(FAIL, "DELETE FROM eventstore_parked", ("failed", LATER, "2 minutes"))


def _saga(status: str, deadline: timedelta) -> Inject:
    return partial(_executed, RUN_SAGA, "DELETE FROM eventstore_saga", (status, deadline))


def _no_heartbeat(kind: str) -> Inject:
    return partial(_executed, f"DELETE FROM eventstore_heartbeat WHERE kind = '{kind}'", "SELECT")


def _open_append() -> AbstractContextManager[None]:
    return open_transaction(APPEND, event_to_append("doctor.looked"))


def _prepared_append() -> AbstractContextManager[None]:
    return _prepared(APPEND, event_to_append("doctor.looked"))


# By the check that must find it. A second fault of one check has its name after a slash.
FAULTS: dict[str, Fault] = {
    "database": Fault(_away),
    "fence": Fault(_open_append, LIMITS._replace(fence=SOON)),
    "fence/prepared": Fault(_prepared_append, LIMITS._replace(fence=SOON)),
    "held-subscription": Fault(
        lambda: open_transaction("UPDATE eventstore_subscription SET moved_at = now()"),
        LIMITS._replace(held=SOON),
    ),
    "dead-subscription": Fault(_dead_subscription),
    "paused-subscription": Fault(_paused),
    "retired-subscription": Fault(
        partial(
            _executed,
            "INSERT INTO eventstore_subscription (name) VALUES ('doctor')",
            "DELETE FROM eventstore_subscription WHERE name = 'doctor'",
        )
    ),
    "dead-letters": Fault(_parked("dead", LATER, 1)),
    "parked": Fault(_parked("failed", LATER, LIMITS.parked)),
    "failing": Fault(_failing),
    "lease": Fault(_parked("leased", EARLIER, 1)),
    "saga-attention": Fault(_saga("NEEDS_ATTENTION", LATER)),
    "saga-late": Fault(_saga("PAYING", EARLIER)),
    "outbox": Fault(_uncleared_outbox),
    "no-worker": Fault(_no_heartbeat(heartbeats.WORKER)),
    "no-beat": Fault(_no_heartbeat(heartbeats.BEAT)),
    "deaf-worker": Fault(_deaf_worker, LIMITS._replace(silent=SILENT)),
    "rebuild": Fault(_failed_rebuild),
    "rebuild/stalled": Fault(_stalled_rebuild, LIMITS._replace(rebuild=SOON)),
    "broker": Fault(_no_broker),
    "broker-alarm": Fault(
        _rabbitmq,
        checks=_replaced(
            {
                broker.unreachable: partial(broker.unreachable, connect=lambda url: None),
                broker.blocked: partial(broker.blocked, alarm=lambda: "low on memory"),
            }
        ),
    ),
    "unsafe-settings": Fault(partial(_database_setting, "synchronous_commit", "off")),
    "isolation": Fault(partial(_connected_with, "default_transaction_isolation=serializable")),
    "isolation-of-others": Fault(
        partial(_database_setting, "default_transaction_isolation", "serializable")
    ),
    "replication-role": Fault(partial(_database_setting, "session_replication_role", "replica")),
    "sequence": Fault(
        partial(
            _executed,
            "ALTER SEQUENCE eventstore_position CACHE 32",
            "ALTER SEQUENCE eventstore_position CACHE 1",
        )
    ),
    "position": Fault(_sequence_behind),
    "prepared-transaction": Fault(lambda: _prepared("SELECT 1"), LIMITS._replace(transaction=SOON)),
    "unbounded-waits": Fault(
        partial(
            _executed,
            "SET idle_in_transaction_session_timeout = 0",
            "RESET idle_in_transaction_session_timeout",
        )
    ),
    "log-epoch": Fault(partial(_executed, BEGIN_EPOCH, REMOVE_EPOCH)),
    "log-epoch/copied": Fault(partial(_executed, MOVE_LOG, MOVE_LOG_BACK)),
    "connections": Fault(
        partial(_executed, LIMIT_CONNECTIONS.format(limit=1), LIMIT_CONNECTIONS.format(limit=-1))
    ),
    "old-transaction": Fault(
        lambda: open_transaction("SELECT 1"), LIMITS._replace(transaction=SOON)
    ),
    "transaction-ids": Fault(nothing, LIMITS._replace(xid_age=1)),
    "disk": Fault(nothing, LIMITS._replace(disk_share=1.0)),
    "clock": Fault(
        nothing,
        checks=_replaced({server.clock: partial(server.clock, now=lambda: time.time() + 3600)}),
    ),
    "pooler": Fault(
        nothing,
        checks=_replaced({sessions.pooler: partial(sessions.pooler, reported_backend=lambda: 0)}),
    ),
    "migrations": Fault(_migration_missing),
    "functions": Fault(
        partial(
            _executed,
            "ALTER FUNCTION eventstore_has_parked(text) RENAME TO doctor_was_here",
            "ALTER FUNCTION doctor_was_here(text) RENAME TO eventstore_has_parked",
        )
    ),
    "functions/text": Fault(_function_replaced),
    "guards": Fault(
        partial(
            _executed,
            DISABLE_TRIGGER.format(trigger="eventstore_append_only"),
            ENABLE_TRIGGER.format(trigger="eventstore_append_only"),
        )
    ),
    "guards/replica": Fault(
        partial(
            _executed,
            "ALTER TABLE eventstore_event ENABLE TRIGGER eventstore_never_truncated",
            ENABLE_TRIGGER.format(trigger="eventstore_never_truncated"),
        )
    ),
    "indexes": Fault(_index_gone),
    "broker-unreachable": Fault(_broker_down),
    "broker-unreachable/aws": Fault(partial(_on_aws, aws.unreachable)),
    "topic-missing/aws": Fault(partial(_on_aws, aws.empty)),
    "queue-differs/aws": Fault(partial(_on_aws, aws.made_otherwise)),
    "topic-missing": Fault(
        lambda: _rabbitmq_at("amqp://127.0.0.1/"),
        checks=_broker_has(missing=["domain-events"]),
    ),
    "topic-missing/consumer": Fault(
        partial(_reader, is_heard=False), checks=_broker_has(missing=["events.doctor"])
    ),
    "partitions-changed": Fault(_reader, checks=_broker_has(partitions={"events.doctor": 12})),
    "queue-differs": Fault(_reader, checks=_broker_has(differing=["doctor.reader: inequivalent"])),
    "deaf-consumer": Fault(partial(_reader, is_heard=False), checks=_broker_has()),
    "deaf-consumer/queue": Fault(
        _reader, checks=_broker_has(queues={READER: QueueState(messages=3, readers=0)})
    ),
    "deaf-consumer/still": Fault(
        _reader, checks=_broker_has(ends={("events.doctor", 0): 12}, queues={})
    ),
    "consumer-hole": Fault(partial(_reader, found=15), checks=_broker_has()),
    "consumer-ahead": Fault(partial(_reader, found=0), checks=_broker_has()),
    "consumer-ahead/end": Fault(_reader, checks=_broker_has(ends={("events.doctor", 0): 4})),
    "broker-ahead": Fault(_reader, checks=_broker_has(newest={"doctor@kafka": 1_000_000_000_000})),
    "broker-blocked": Fault(partial(_executed, BLOCK_RELAY, REMOVE_RELAY)),
    "relay-behind": Fault(
        _a_relay, checks=_replaced({relays.behind: partial(relays.behind, lags=_a_late_relay)})
    ),
    "relay": Fault(partial(_executed, FAIL_RELAY, REMOVE_RELAY)),
    "relay-lease": Fault(partial(_executed, KILL_RELAY, REMOVE_RELAY)),
    "webhooks-late": Fault(partial(_webhook, "enabled", ago="1 hour", key=KEY_ID)),
    "webhook-disabled": Fault(partial(_webhook, "disabled", ago="0 s", key=KEY_ID)),
    "webhook-key": Fault(partial(_webhook, "enabled", ago="0 s", key="another")),
    "schema-registry": Fault(_no_registry),
    "schema-unregistered": Fault(_unregistered),
    "cdc-slot": Fault(captured.relay),
    "cdc-slot/lost": Fault(captured.lost),
    "cdc-slot/another": Fault(captured.of_another_kind),
    "cdc-slot/no-publication": Fault(partial(captured.published, "DROP PUBLICATION {name}")),
    "cdc-slot/publication": Fault(
        partial(captured.published, "ALTER PUBLICATION {name} SET (publish = 'insert, update')")
    ),
    "cdc-inactive": Fault(captured.unread),
    "cdc-behind": Fault(partial(captured.behind, pending=5), LIMITS._replace(slot_bytes=1 << 20)),
    "cdc-heartbeat": Fault(captured.behind, LIMITS._replace(slot_bytes=1 << 20)),
    "cdc-synchronous": Fault(captured.synchronous),
    "cdc-wal-limit": Fault(partial(captured.read, keep=captured.UNLIMITED)),
    "cdc-wal-limit/near": Fault(captured.near_the_end),
    "cdc-handover": Fault(partial(captured.read, way=TO_CDC)),
    "cdc-handover/refill": Fault(partial(captured.read, way=REFILL)),
    "cdc-connect": Fault(captured.without_connect),
    "cdc-connect/another": Fault(partial(captured.connect_that_answers, 200, {})),
    "cdc-task": Fault(partial(captured.connect_that_answers, 200, captured.FAILED_TASK)),
    "cdc-task/missing": Fault(partial(captured.connect_that_answers, 404, {})),
    "unreadable-events": Fault(_unreadable),
    "schema-drift": Fault(_no_schemas),
}

# Queries for what some servers or roles do not allow.
POSSIBLE = {
    "fence/prepared": ALLOWS_PREPARE,
    "prepared-transaction": ALLOWS_PREPARE,
    "replication-role": IS_SUPERUSER,
    **{name: captured.IS_ALLOWED for name in FAULTS if name.startswith("cdc-")},
}


def possible() -> dict[str, Fault]:
    """The faults that can be injected on this server, by this role, with these packages."""
    allowed = {name: rows(query) == [(True,)] for name, query in POSSIBLE.items()}
    allowed |= {name: not aws.missing() for name in FAULTS if name.endswith("/aws")}
    return {name: fault for name, fault in FAULTS.items() if allowed.get(name, True)}
