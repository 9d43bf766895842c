"""Change data capture without Debezium: rows of the integration outbox, slot and publication, and
what is refused."""

import json
import subprocess
import sys

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from eventstore.messaging import cloudevents, relay
from eventstore.messaging.cdc import connector, outbox, slots, ways
from eventstore.messaging.cdc.connector import ConnectorState, Task
from eventstore.messaging.cloudevents import Origin
from eventstore.messaging.kafka.producer import Prepared
from eventstore.models import IntegrationMessage, OperatorAction, RelayLease, Subscription
from eventstore.operations import cdc, control, doctor, handover
from eventstore.operations.doctor import cdc as checks
from eventstore.postgres import execute, rows
from tools.devserver import connect, folder, postgres, services
from tools.devserver.environment import DATABASE, with_settings

from .conftest import count, delivered, settled, until
from .test_cloudevents import ENVELOPE

WHY = {"who": "ada", "reason": "a test"}
ORIGIN = Origin("/orders", "https://schemas.example")
PLACEMENT = "transforms.outbox.table.fields.additional.placement"


@pytest.fixture(autouse=True)
def _unversioned(monkeypatch):
    monkeypatch.setattr(cloudevents.registry, "schema_version_of", lambda name: 1)


@pytest.fixture
def of(to_kafka, settings):
    settings.EVENTSTORE_CDC_SLOT = f"cdc_{connection.settings_dict['NAME']}".lower()[:63]
    yield to_kafka()
    relay.this_process.stop()
    slots.drop(settings.EVENTSTORE_CDC_SLOT)


def test_the_connector_makes_of_a_row_the_headers_of_the_relay_in_their_order():
    posted = json.loads(connect.CONNECTOR.read_text())
    assert posted["name"] == connector.NAME
    config = posted["config"]
    placed = [each.split(":") for each in config[PLACEMENT].split(",")]
    encoded = cloudevents.for_kafka(ENVELOPE, ORIGIN)
    row = outbox.row(7, prepared(encoded))._asdict()
    assert [
        (header, str(row[column])) for column, _, header in placed if header != "ce_position"
    ] == [(header, value) for header, value in encoded.headers.items() if header != "ce_position"]
    assert ["position", "header", "ce_position"] in placed
    assert row["route"] == "events.toy"


@pytest.mark.parametrize(
    ("envelope", "origin", "route"),
    [
        (ENVELOPE._replace(previous=0), ORIGIN, "events.toy~previoussequence"),
        (ENVELOPE._replace(trace=""), Origin("/orders"), "events.toy~dataschema.traceparent"),
        (ENVELOPE, ORIGIN._replace(structured=True), "events.toy~specversion"),
    ],
)
def test_the_route_says_which_headers_a_message_lacks(envelope, origin, route):
    assert outbox.row(7, prepared(cloudevents.for_kafka(envelope, origin))).route == route


def test_the_connector_drops_what_the_route_says():
    config = json.loads(connect.CONNECTOR.read_text())["config"]
    for column in outbox.OPTIONAL:
        (name,) = [
            each.split(".")[1]
            for each, value in config.items()
            if each.endswith(".headers") and value == f"ce_{column}"
        ]
        predicate = config[f"transforms.{name}.predicate"]
        assert column in config[f"predicates.{predicate}.pattern"]
    everything = config["transforms.binary.headers"].split(",")
    assert set(everything) == {
        header for header in (*outbox.COLUMNS, *outbox.REPEATED) if header.startswith("ce_")
    }
    assert "trust" not in connect.CONNECTOR.read_text()


def test_a_header_without_a_column_is_refused_by_its_name():
    encoded = cloudevents.for_kafka(ENVELOPE, ORIGIN)
    unknown = prepared(encoded._replace(headers={**encoded.headers, "ce_colour": "red"}))
    with pytest.raises(outbox.Inexpressible, match="ce_colour"):
        outbox.row(7, unknown)
    with pytest.raises(outbox.Inexpressible, match="correlation_id"):
        outbox.row(
            7, Prepared("events.toy", b"{}", b"1", {"content-type": "text", "event-id": "1"})
        )


def test_slot_and_publication_are_made_once_shown_and_dropped(of, settings, capsys):
    with pytest.raises(CommandError, match="There is no replication slot .*: manage.py cdc create"):
        call_command("cdc", "status")
    call_command("cdc", "create")
    first = capsys.readouterr().out
    assert "made replication slot" in first
    assert "made publication" in first
    call_command("cdc", "create")
    assert "made" not in capsys.readouterr().out
    call_command("cdc", "status", "--json")
    shown = json.loads(capsys.readouterr().out)
    assert shown["problem"] == ""
    assert shown["slot"]["wal_status"] == "reserved"
    assert {each["way"] for each in shown["publications"]} == {"relay"}
    call_command("cdc", "status")
    assert f"{of.name} leaves by relay" in capsys.readouterr().out
    call_command("cdc", "drop", "--reason", "a test")
    call_command("cdc", "drop")
    assert slots.state(settings.EVENTSTORE_CDC_SLOT) is None
    assert slots.is_published(settings.EVENTSTORE_CDC_SLOT) is None
    assert OperatorAction.objects.filter(action="cdc create").count() == 1


def test_a_standby_keeps_the_slot_where_the_server_can(of, settings):
    cdc.create(**WHY)
    if slots.server().version >= slots.FAILOVER_VERSION:
        found = rows(
            "SELECT failover FROM pg_replication_slots WHERE slot_name = %s",
            [settings.EVENTSTORE_CDC_SLOT],
        )
        assert found == [(True,)]


def test_a_publication_with_other_operations_is_refused(of, settings):
    execute(f"CREATE PUBLICATION {settings.EVENTSTORE_CDC_SLOT} FOR ALL TABLES").close()
    with pytest.raises(control.OperationRefused, match="must publish inserts of"):
        cdc.create(**WHY)


def test_without_logical_decoding_the_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(postgres.SETTINGS, "wal_level", "replica")
    for name in (DATABASE, "REDIS_URL", "CELERY_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    with folder.throwaway() as path, services.started(path) as found:
        environment = with_settings({**found.settings, "SECRET_KEY": "x"})
        run = [sys.executable, "manage.py"]
        subprocess.run([*run, "migrate", "-v0"], env=environment, check=True, timeout=120)
        done = subprocess.run(
            [*run, "cdc", "create"], env=environment, capture_output=True, text=True, timeout=60
        )
    assert done.returncode == 1
    assert "wal_level is replica" in done.stderr
    assert "ALTER SYSTEM SET wal_level = logical" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_handover_that_cannot_be_done_is_refused_by_name(of):
    with pytest.raises(CommandError, match="There is no replication slot"):
        call_command("broker_handover", of.name, "cdc", "--reason", "x")
    with pytest.raises(CommandError, match="leaves by relay already"):
        call_command("broker_handover", of.context + ".published", "relay", "--reason", "x")
    with pytest.raises(CommandError, match="has no relay to Kafka"):
        call_command("broker_handover", "nothing.published", "cdc", "--reason", "x")
    with pytest.raises(CommandError, match="reason"):
        call_command("broker_handover", of.name, "cdc", "--reason", " ")
    for seconds in ("nan", "inf", "-1", "x"):
        with pytest.raises(CommandError, match="a positive number of seconds"):
            call_command("broker_handover", of.name, "cdc", "--reason", "x", "--seconds", seconds)
    assert ways.of(of.name).way == ways.RELAY


def test_a_handover_waits_for_the_batch_under_way_and_gives_up_in_time(of):
    cdc.create(**WHY)
    hold_lease(of.name)
    with pytest.raises(CommandError, match="publishes a batch, and it does not end"):
        call_command("broker_handover", of.name, "cdc", "--reason", "x", "--seconds", "0.3")
    assert ways.of(of.name).way == ways.RELAY


def test_a_batch_whose_process_died_may_repeat_and_its_producer_is_shut_out(of):
    cdc.create(**WHY)
    hold_lease(of.name)
    execute("UPDATE eventstore_relay SET until = now()").close()
    done = handover.hand_over(of.name, ways.CDC, **WHY)
    assert done.may_repeat == relay.BATCH
    act = OperatorAction.objects.get(action="handover")
    assert (act.who, act.reason, act.details["to"]) == ("ada", "a test", "cdc")


def test_rows_are_written_in_the_commit_of_the_cursor_and_bounded(of, monkeypatch):
    cdc.create(**WHY)
    handover.hand_over(of.name, ways.CDC, **WHY)
    count(30)
    settled(of.name)
    assert IntegrationMessage.objects.filter(relay=of.name).count() == 30
    assert ways.of(of.name).pending == 30
    monkeypatch.setattr(outbox, "PENDING_ROWS", 30)
    before = Subscription.objects.get(pk=of.name).position
    count(10, first=31)
    until(lambda: delivered() and RelayLease.objects.get(pk=of.name).error)
    assert RelayLease.objects.get(pk=of.name).error.startswith("OutboxFull")
    assert Subscription.objects.get(pk=of.name).position == before
    monkeypatch.undo()
    settled(of.name)
    assert IntegrationMessage.objects.filter(relay=of.name).count() == 40


def test_a_handover_that_was_interrupted_is_named_and_can_be_finished(of):
    cdc.create(**WHY)
    ways.lock(of.name)
    ways.hold(of.name, ways.TO_CDC)
    count(5)
    delivered()
    assert not IntegrationMessage.objects.exists()
    found = {each.check: each for each in doctor.examine()}
    assert "broker_handover" in found["cdc-handover"].mend
    handover.hand_over(of.name, ways.CDC, **WHY)
    settled(of.name)
    assert IntegrationMessage.objects.count() == 5


def test_a_slot_that_publications_need_is_dropped_by_force_only(of, settings):
    cdc.create(**WHY)
    handover.hand_over(of.name, ways.CDC, **WHY)
    with pytest.raises(CommandError, match="need the slot"):
        call_command("cdc", "drop", "--reason", "x")
    with pytest.raises(CommandError, match="reason is required"):
        call_command("cdc", "drop", "--force")
    call_command("cdc", "drop", "--force", "--reason", "x")
    assert slots.state(settings.EVENTSTORE_CDC_SLOT) is None


def test_the_doctor_names_what_keeps_debezium_from_reading(of, settings):
    cdc.create(**WHY)
    assert findings() == set()
    handover.hand_over(of.name, ways.CDC, **WHY)
    assert findings() == {"cdc-inactive", "cdc-wal-limit"}
    settings.EVENTSTORE_CDC_CONNECT_URL = "http://127.0.0.1:1"
    assert "cdc-connect" in findings()
    state = cdc.state()
    reading = state.slot._replace(is_active=True, lag=1 << 30, held=1 << 30)
    limited = state.server._replace(wal_keep_bytes=3 << 29, synchronous="FIRST 1 (*)")
    failed = ConnectorState("RUNNING", [Task(0, "FAILED", "org.example.Boom: no")])
    watched = state._replace(slot=reading, server=limited, connector=failed, unreachable="")
    found = {each.check: each for each in checks.findings(doctor.Limits(), state=lambda: watched)}
    assert set(found) == {"cdc-heartbeat", "cdc-wal-limit", "cdc-synchronous", "cdc-task"}
    assert "org.example.Boom" in found["cdc-task"].what
    behind = watched._replace(ways=[state.ways[0]._replace(pending=5)], connector=None)
    assert "cdc-behind" in {
        each.check for each in checks.findings(doctor.Limits(), state=lambda: behind)
    }
    lost = state._replace(slot=state.slot._replace(wal_status="lost", invalidation="wal_removed"))
    (finding,) = checks.findings(doctor.Limits(), state=lambda: lost)
    assert "wal_removed" in finding.what


def prepared(encoded):
    key = cloudevents.aggregate_id(ENVELOPE.subject).encode()
    return Prepared("events.toy", encoded.value, key, encoded.headers)


def hold_lease(name):
    """As a process that publishes a batch."""
    execute(
        "INSERT INTO eventstore_relay (name, token, settled, holder, until)"
        " VALUES (%s, 5, 4, 'elsewhere', now() + interval '1 minute')",
        [name],
    ).close()


def findings():
    return {each.check for each in doctor.examine(checks=checks.CHECKS) if each.check[:3] == "cdc"}
