"""Publications that leave by change data capture: the outbox connector of deploy/debezium in a real
Kafka Connect, beside a real Kafka."""

import threading
import time
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connections

from eventstore.log import ANY, append
from eventstore.messages import Metadata
from eventstore.messaging import relay
from eventstore.messaging.cdc import ways
from eventstore.models import IntegrationMessage, OperatorAction, Parked
from eventstore.operations import cdc, control, doctor, handover
from eventstore.operations.maintenance import clear_integration_outbox
from eventstore.postgres import execute, rows
from tests.eventstore.toy import Counted

from . import debezium as connecting
from .conftest import (
    by_key,
    count,
    expected,
    only_long,
    settled,
    topic_of,
    until,
)

WHY = {"who": "ada", "reason": "a test"}
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SCHEMAS = "https://schemas.example"
HANDOVERS = [ways.CDC, ways.RELAY, ways.CDC, ways.RELAY]
PASSED = """
    SELECT count(*) FROM eventstore_event
    WHERE position <= (SELECT position FROM eventstore_subscription WHERE name = %s)
"""
# Kills of Kafka Connect, and messages meanwhile: four in the long form.
LONG_KILLS, LONG_MESSAGES = 4, 20_000


@pytest.fixture(scope="session")
def debezium(kafka_server, django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), connecting.debezium(kafka_server) as found:
        yield found


@pytest.fixture
def captured(debezium, to_kafka, settings, monkeypatch):
    """captured() wires a relay whose publication leaves by change data capture."""
    monkeypatch.setenv("CDC_SLOT", debezium.slot)
    settings.EVENTSTORE_CDC_SLOT = debezium.slot
    settings.EVENTSTORE_CDC_CONNECT_URL = debezium.address

    def start(*, hand_over=True, **options):
        of = to_kafka(**options)
        cdc.create(**WHY)
        debezium.post()
        until(lambda: debezium.state() == "RUNNING")
        if hand_over:
            handover.hand_over(of.name, ways.CDC, **WHY)
        return of

    yield start
    relay.this_process.stop()
    if debezium.state() != "RUNNING" or "cdc-slot" in findings():
        debezium.delete()
        connecting.drop_slot(debezium.slot)


@pytest.mark.parametrize(
    ("mode", "schemas"), [("binary", ""), ("binary", SCHEMAS), ("structured", "")]
)
def test_debezium_sends_the_messages_of_the_relay(mode, schemas, captured, kafka_server, settings):
    """Value, headers in their order, key and partition, message by message."""
    settings.EVENTSTORE_CLOUDEVENTS_MODE = mode
    settings.EVENTSTORE_SCHEMA_ADDRESS = schemas
    of = captured(hand_over=False)
    count(200)
    traced = Metadata(correlation_id=uuid4(), trace=TRACE)
    append("counter-traced", [Counted("traced", 1, "größer ✓")], expected=ANY, metadata=traced)
    append("counter-c1", [Counted("c1", 200, "x" * 5000)], expected=ANY)
    settled(of.name)
    by_relay = by_partition(kafka_server, of, 202)
    handover.hand_over(of.name, ways.CDC, **WHY)
    control.reset(of.name, 0, **WHY)
    settled(of.name)
    both = by_partition(kafka_server, of, 404)
    assert sum(map(len, by_relay.values())) == 202
    assert both.keys() == by_relay.keys()
    for partition, sent in by_relay.items():
        again = both[partition][len(sent) :]
        assert both[partition][: len(sent)] == sent
        assert [each for each in zip(again, sent, strict=True) if each[0] != each[1]][:1] == []


def test_rows_are_deleted_when_the_slot_has_passed_them(captured, kafka_server):
    of = captured()
    count(50)
    settled(of.name)
    assert ways.of(of.name).pending == IntegrationMessage.objects.count() == 50
    topic_of(kafka_server, of.topic, 50)
    until(lambda: clear_integration_outbox() or not IntegrationMessage.objects.exists())
    state = ways.of(of.name)
    assert (state.pending, state.pending_bytes) == (0, 0)


def test_a_publication_is_handed_over_both_ways_while_events_are_appended(
    captured, kafka_server, process, capsys
):
    """Without a hole, and without a repeat, as the process of the relay lives."""
    of = captured(hand_over=False)
    process(of)
    stop, appended = threading.Event(), []
    shop = threading.Thread(target=keep_counting, args=(stop, appended))
    shop.start()
    try:
        for way in HANDOVERS:
            wanted = len(appended) + 40
            until(lambda wanted=wanted: len(appended) > wanted and passed(of.name) > wanted)
            before = len(appended)
            call_command("broker_handover", of.name, way, "--reason", WHY["reason"])
            output = capsys.readouterr().out
            assert f"leaves by {way}" in output
            assert "repeat" not in output
            assert len(appended) > before
    finally:
        stop.set()
        shop.join()
    number = len(appended)
    until(lambda: passed(of.name) >= number)
    found = topic_of(kafka_server, of.topic, number, settle=2.0)
    assert by_key(found) == expected(number)
    acts = OperatorAction.objects.filter(action="handover", subject=of.name).order_by("id")
    assert [each.details["to"] for each in acts] == HANDOVERS
    assert {each.reason for each in acts} == {WHY["reason"]}


# Its short form is tests/chaos/test_capture_chaos.py, which kills it while orders are placed.
@only_long
def test_kafka_connect_is_killed_under_load(captured, debezium, kafka_server):
    of = captured()
    each = LONG_MESSAGES // (LONG_KILLS + 1)
    for kill in range(LONG_KILLS + 1):
        count(each, first=1 + kill * each)
        settled(of.name)
        if kill < LONG_KILLS:
            time.sleep(0.2)
            debezium.kill()
            debezium.start_again()
    until(lambda: debezium.state() == "RUNNING")
    total = each * (LONG_KILLS + 1)
    found = topic_of(kafka_server, of.topic, total, settle=3.0)
    assert in_order(found) == expected(total)


def test_a_slot_that_is_dropped_loses_nothing(captured, debezium, kafka_server):
    of = captured()
    count(100)
    settled(of.name)
    topic_of(kafka_server, of.topic, 100)
    debezium.delete()
    count(100, first=101)
    settled(of.name)
    connecting.drop_slot(debezium.slot)
    assert "cdc-slot" in findings()
    for way in (ways.RELAY, ways.CDC):
        with pytest.raises(control.OperationRefused):
            handover.hand_over(of.name, way, **WHY)
    assert ways.of(of.name).way == ways.CDC
    made = cdc.create(**WHY)
    assert any("written once more" in each for each in made)
    debezium.post()
    count(100, first=201)
    settled(of.name)
    found = topic_of(kafka_server, of.topic, 300, settle=3.0)
    assert in_order(found) == expected(300)


def test_without_a_slot_the_relay_publishes_again_what_may_be_missing(
    captured, debezium, kafka_server
):
    of = captured()
    count(50)
    settled(of.name)
    topic_of(kafka_server, of.topic, 50)
    debezium.delete()
    count(50, first=51)
    settled(of.name)
    with pytest.raises(control.OperationRefused, match="Without --repeat"):
        handover.hand_over(of.name, ways.RELAY, repeat=True, **WHY)
    with pytest.raises(control.OperationRefused, match="not handed over in time"):
        handover.hand_over(of.name, ways.RELAY, seconds=0.5, **WHY)
    assert ways.of(of.name).way == ways.CDC
    cdc.drop(force=True, **WHY)
    done = handover.hand_over(of.name, ways.RELAY, repeat=True, **WHY)
    assert 50 <= done.may_repeat <= 100
    settled(of.name)
    found = topic_of(kafka_server, of.topic, 100, settle=1.0)
    assert in_order(found) == expected(100)
    assert len(found) <= 100 + done.may_repeat
    assert not IntegrationMessage.objects.exists()


def test_a_slot_that_another_program_made_is_refused_and_clears_nothing(captured, debezium):
    of = captured()
    debezium.delete()
    count(20)
    settled(of.name)
    clear_integration_outbox()  # the mark is behind the rows
    connecting.drop_slot(debezium.slot)
    execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [debezium.slot]).close()
    clear_integration_outbox()
    assert IntegrationMessage.objects.count() == 20
    assert "cdc-slot" in findings()
    with pytest.raises(control.OperationRefused, match="not made by manage.py cdc create"):
        cdc.create(**WHY)


def test_what_is_too_large_is_parked_and_the_others_go_on(captured, kafka_server):
    of = captured(max_message_bytes=2000)
    append("counter-large", [Counted("large", 1, "x" * 4000)], expected=ANY)
    append("counter-large", [Counted("large", 2)], expected=ANY)
    count(10)
    settled(of.name)
    assert by_key(topic_of(kafka_server, of.topic, 10)) == expected(10)
    assert Parked.objects.filter(subscription=of.name).count() == 2


def test_a_row_that_stops_the_task_is_named_while_the_connector_runs(captured, debezium):
    of = captured()
    count(1)
    settled(of.name)
    row = IntegrationMessage.objects.get()
    row.pk, row.route, row.position = None, "events.not a topic", 0
    row.save(force_insert=True)
    until(lambda: debezium.state() == "FAILED")
    assert "cdc-task" in findings()
    (found,) = [each for each in doctor.examine() if each.check == "cdc-task"]
    assert "RUNNING" in found.what
    assert "not a topic" in found.what or "Invalid topic" in found.what


def findings():
    return {each.check for each in doctor.examine()}


def by_partition(server, of, number):
    """partition -> (key, value, headers) in their order."""
    found = {}
    for each in topic_of(server, of.topic, number, settle=2.0):
        sent = (each.key(), each.value(), each.headers())
        found.setdefault(each.partition(), []).append(sent)
    return found


def passed(name):
    """How many events of the log the relay has passed."""
    ((number,),) = rows(PASSED, [name])
    return number


def in_order(messages):
    """key -> amounts, each at its first arrival."""
    return {key: list(dict.fromkeys(amounts)) for key, amounts in by_key(messages).items()}


def keep_counting(stop, appended):
    try:
        while not stop.is_set():
            number = len(appended) + 1
            append(f"counter-c{number % 5}", [Counted(f"c{number % 5}", number)], expected=ANY)
            appended.append(number)
            stop.wait(0.005)
    finally:
        connections.close_all()
