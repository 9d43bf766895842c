"""The checker of brokers finds nothing where all is right, and each planted violation under its
kind."""

from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from django.conf import settings

from eventstore import registry
from eventstore.subscriptions import Publication
from tools.verification.chaos import broker_checks
from tools.verification.chaos.broker_checks import (
    CAPTURED,
    CONFIRMED,
    DISORDERED,
    EFFECTS_DOUBLED,
    EFFECTS_LOST,
    MISSING,
    NAMES,
    REPEATED,
    REPEATED_CAPTURE,
    REPEATED_RABBITMQ,
    TRANSLATIONS,
    Consumed,
    Effect,
    Found,
    counted,
    expectations,
    violations,
)
from tools.verification.chaos.brokers import Record
from tools.verification.chaos.checks import UNFINISHED, WRONG

STREAMS = ("order-a", "order-b")
LOG = [
    (uuid4(), stream, version, 10 * version + number, type_)
    for version, type_ in ((1, "orders.order_placed"), (2, "orders.order_confirmed"))
    for number, stream in enumerate(STREAMS)
]


@pytest.fixture
def found():
    expected = dict(expectations(LOG))
    records = [
        Record("events.orders", 0, each.stream[6:], id_, *each, offset=number)
        for number, (id_, each) in enumerate(expected.items())
    ]
    effects = [Effect(each.id, each.stream, each.position, each.sequence) for each in records]
    confirmed = [each.id for each in records if each.type == CONFIRMED]
    consumed = Consumed(finished=True, effects=effects, counted=confirmed)
    return Found(
        expected,
        {f"orders.published@{broker}": 99 for broker in NAMES},
        dict.fromkeys(NAMES, records),
        dict.fromkeys(NAMES, consumed),
    )


def kinds(found):
    return {kind for _, kind, _ in violations(found)}


def with_records(found, broker, change):
    return replace(found, records=found.records | {broker: change([*found.records[broker]])})


def with_consumed(found, broker, **changes):
    consumed = replace(found.consumed[broker], **changes)
    return replace(found, consumed=found.consumed | {broker: consumed})


def test_nothing_is_wrong_where_nothing_is_wrong(found):
    assert len(found.expected) == 2 * (2 + 3)
    assert kinds(found) == set()


def test_the_table_of_translations_is_that_of_the_publications():
    published = {
        registry.name_of_class(cls)
        for name, each in registry.of_kind(Publication).items()
        for cls in each.publish
    }
    assert settings.EVENTSTORE_WIRING == "config.wiring"
    assert set(TRANSLATIONS) == published
    assert {type_ for types in TRANSLATIONS.values() for type_ in types} == set(
        registry.published_types()
    )


@pytest.mark.parametrize("broker", NAMES)
def test_a_message_that_the_relay_has_passed_is_missing(found, broker):
    found = with_records(found, broker, lambda records: records[1:])
    assert kinds(found) == {MISSING}


@pytest.mark.parametrize("broker", NAMES)
def test_a_message_that_the_relay_has_not_passed_is_unfinished(found, broker):
    found = with_records(found, broker, lambda records: records[1:])
    found = replace(found, relayed=found.relayed | {f"orders.published@{broker}": 1})
    assert kinds(found) == {UNFINISHED}


@pytest.mark.parametrize("broker", NAMES)
def test_two_messages_of_a_key_that_are_swapped_are_disordered(found, broker):
    found = with_records(found, broker, lambda records: [records[1], records[0], *records[2:]])
    assert kinds(found) == {DISORDERED}


def test_a_key_in_two_partitions_is_disordered(found):
    def moved(records):
        return [*records[:-1], replace(records[-1], part=1)]

    assert kinds(with_records(found, "kafka", moved)) == {DISORDERED}


def test_a_repeat_is_a_violation_in_kafka_and_counted_in_rabbitmq(found):
    assert kinds(with_records(found, "kafka", lambda records: [*records, records[0]])) == {REPEATED}
    repeated = with_records(found, "rabbitmq", lambda records: [*records, *records[:3]])
    assert kinds(repeated) == set()
    assert counted(repeated)[REPEATED_RABBITMQ] == 3


def test_a_repeat_by_debezium_is_counted_and_a_missing_message_is_not_forgiven(found):
    captured = replace(found, captured=7)
    repeated = with_records(captured, "kafka", lambda records: [*records, *records[:2]])
    assert kinds(repeated) == set()
    assert counted(repeated)[REPEATED_CAPTURE] == 2
    assert counted(repeated)[CAPTURED] == 7
    assert kinds(with_records(captured, "kafka", lambda records: records[1:])) == {MISSING}
    assert CAPTURED not in counted(found)


@pytest.mark.parametrize("change", [{"id": str(uuid4())}, {"position": 13}, {"type": "orders.x"}])
def test_a_message_that_the_log_does_not_explain_is_wrong(found, change):
    def altered(records):
        return [*records, replace(records[-1], **change)]

    assert WRONG in kinds(with_records(found, "rabbitmq", altered))


@pytest.mark.parametrize("broker", NAMES)
def test_an_effect_is_lost_where_the_consumer_is_at_the_end(found, broker):
    effects = found.consumed[broker].effects[1:]
    assert kinds(with_consumed(found, broker, effects=effects)) == {EFFECTS_LOST}
    unfinished = with_consumed(found, broker, effects=effects, finished=False)
    assert kinds(unfinished) == {UNFINISHED}


@pytest.mark.parametrize("broker", NAMES)
def test_an_effect_in_the_log_is_lost_or_doubled(found, broker):
    ids = found.consumed[broker].counted
    assert kinds(with_consumed(found, broker, counted=ids[1:])) == {EFFECTS_LOST}
    assert kinds(with_consumed(found, broker, counted=[*ids, ids[0]])) == {EFFECTS_DOUBLED}


@pytest.mark.parametrize("broker", NAMES)
def test_an_effect_that_happened_twice_is_doubled(found, broker):
    effects = found.consumed[broker].effects
    assert EFFECTS_DOUBLED in kinds(with_consumed(found, broker, effects=[*effects, effects[-1]]))


@pytest.mark.parametrize("broker", NAMES)
def test_effects_of_a_stream_in_another_order_are_disordered(found, broker):
    effects = found.consumed[broker].effects
    swapped = [effects[1], effects[0], *effects[2:]]
    assert kinds(with_consumed(found, broker, effects=swapped)) == {DISORDERED}


def test_a_consumer_has_read_what_lies_before_its_offsets(found):
    records = found.records["kafka"]
    assert broker_checks._are_read(records, [("events.orders", 0, len(records))])
    assert not broker_checks._are_read(records, [("events.orders", 0, len(records) - 1)])
    assert not broker_checks._are_read(records, [])


def test_the_ids_are_made_of_the_domain_event_and_the_index():
    ids = list(dict(expectations(LOG[:1])))
    assert len(ids) == 2
    assert all(UUID(id_).version == 5 for id_ in ids)
