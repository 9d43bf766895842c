"""The integration outbox: messages as the relay would send them, in rows that Debezium reads.

Rows are written in the commit that moves the relay's cursor. They are deleted when the replication
slot has passed them, so that a lost slot loses no message. The columns are those that
deploy/debezium/outbox-connector.json makes headers of.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from eventstore import registry, settings
from eventstore.messaging import relay_leases
from eventstore.messaging.transport import BrokerProblem, Outgoing, Refused
from eventstore.postgres import execute, rows
from eventstore.subscriptions import Relay

# Bounds for each relay. Beyond them nothing is written until Debezium has caught up.
PENDING_ROWS, PENDING_BYTES = 100_000, 256 << 20

# Header -> column. The other headers repeat one of these.
COLUMNS = {
    "content-type": "content_type",
    "event-id": "id",
    "event-type": "event_type",
    "correlation-id": "correlation_id",
    "ce_specversion": "specversion",
    "ce_source": "source",
    "ce_stream": "stream",
    "ce_time": "time",
    "ce_dataschema": "dataschema",
    "ce_sequence": "sequence",
    "ce_previoussequence": "previoussequence",
    "ce_causationid": "causation_id",
    "ce_traceparent": "traceparent",
    "ce_kind": "kind",
}
# Header -> the column that it repeats; position is a number there.
REPEATED = {
    "ce_id": "id",
    "ce_type": "event_type",
    "ce_subject": "aggregate_id",
    "ce_partitionkey": "aggregate_id",
    "ce_correlationid": "correlation_id",
    "ce_position": "position",
}
# Columns whose header a message may lack. Without specversion it has no attribute of CloudEvents:
# it is structured.
OPTIONAL = ("dataschema", "previoussequence", "traceparent")
STRUCTURED = "specversion"
ALWAYS = ("content_type", "id", "event_type", "correlation_id")
# Behind the topic in `route`: which headers the connector drops. No topic has it in its name.
LACKING = "~"

WRITE = """
    INSERT INTO eventstore_integration_outbox (
        relay, position, route, aggregate_type, aggregate_id, payload,
        content_type, id, event_type, correlation_id, specversion, source, stream, time, dataschema,
        sequence, previoussequence, causation_id, traceparent, kind
    )
    SELECT %s, position, route, aggregate_type, aggregate_id, payload,
           content_type, id, event_type, correlation_id, specversion, source, stream, time,
           dataschema, sequence, previoussequence, causation_id, traceparent, kind
    FROM unnest(
        %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[],
        %s::text[], %s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
        %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[]
    ) WITH ORDINALITY AS message(
        position, route, aggregate_type, aggregate_id, payload,
        content_type, id, event_type, correlation_id, specversion, source, stream, time, dataschema,
        sequence, previoussequence, causation_id, traceparent, kind, place
    )
    ORDER BY place
"""
# Only behind the slot that `cdc create` has made: with failover, where the server knows it. One
# made by another program begins behind rows that were never read.
CLEAR = f"""
    WITH slot AS MATERIALIZED (
        SELECT confirmed_flush_lsn
        FROM pg_replication_slots AS slot
        WHERE slot_name = %s AND database = current_database() AND wal_status <> 'lost'
          AND coalesce((to_jsonb(slot) ->> 'failover')::boolean, true)
    ), passed AS MATERIALIZED (
        {relay_leases.PASSED_MARK}
    ), gone AS (
        DELETE FROM eventstore_integration_outbox AS message
        USING passed
        WHERE message.relay = passed.name AND message.number <= passed.mark
        RETURNING octet_length(payload) AS bytes
    ), sums AS (
        SELECT count(*) AS number, coalesce(sum(bytes), 0) AS bytes FROM gone
    )
    {relay_leases.COUNT_CLEARED}
"""
FIRST = "SELECT min(position) FROM eventstore_integration_outbox WHERE relay = %s"
EMPTY = "DELETE FROM eventstore_integration_outbox WHERE relay = %s"
# The same messages once more, for a slot that was made after them.
AGAIN = """
    WITH before AS MATERIALIZED (
        DELETE FROM eventstore_integration_outbox WHERE relay = %s RETURNING *
    )
    INSERT INTO eventstore_integration_outbox (
        relay, position, route, aggregate_type, aggregate_id, payload,
        content_type, id, event_type, correlation_id, specversion, source, stream, time, dataschema,
        sequence, previoussequence, causation_id, traceparent, kind
    )
    SELECT relay, position, route, aggregate_type, aggregate_id, payload,
           content_type, id, event_type, correlation_id, specversion, source, stream, time,
           dataschema, sequence, previoussequence, causation_id, traceparent, kind
    FROM before
    ORDER BY number
"""


class OutboxFull(BrokerProblem):
    """Debezium is too far behind: the events remain in the log until it has caught up."""


class Inexpressible(Refused):
    """The message has a header for which the integration outbox has no column."""


class Prepared(Protocol):
    """A message for Kafka, as its transport has prepared it."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> bytes: ...
    @property
    def value(self) -> bytes: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


class Row(NamedTuple):
    """In the order of WRITE."""

    position: int
    route: str
    aggregate_type: str
    aggregate_id: str
    payload: bytes
    content_type: str | None
    id: str | None
    event_type: str | None
    correlation_id: str | None
    specversion: str | None
    source: str | None
    stream: str | None
    time: str | None
    dataschema: str | None
    sequence: str | None
    previoussequence: str | None
    causation_id: str | None
    traceparent: str | None
    kind: str | None


def demand_room(relay: str, pending: int, pending_bytes: int) -> None:
    """Raises OutboxFull."""
    if 2 * pending > PENDING_ROWS or 2 * pending_bytes > PENDING_BYTES:
        pending -= clear_relay(relay)
    if pending >= PENDING_ROWS or (pending and pending_bytes >= PENDING_BYTES):
        raise OutboxFull(
            f"{pending} messages ({pending_bytes >> 20} MiB) wait for Debezium: see manage.py cdc"
            " status"
        )


def row(position: int, message: Prepared) -> Row:
    """Of a message for Kafka. Raises Inexpressible."""
    named: dict[str, str | None] = dict.fromkeys(COLUMNS.values())
    for header, value in message.headers.items():
        if header in COLUMNS:
            named[COLUMNS[header]] = value
        elif header not in REPEATED:
            raise Inexpressible(f"the integration outbox has no column for the header {header}")
    if missing := [name for name in ALWAYS if not named[name]]:
        raise Inexpressible(f"the message lacks {', '.join(missing)}")
    is_structured = named[STRUCTURED] is None
    lacking = [STRUCTURED] if is_structured else [each for each in OPTIONAL if not named[each]]
    return Row(
        position=position,
        route=message.topic + (LACKING + ".".join(lacking) if lacking else ""),
        aggregate_type=(named["stream"] or "").partition("-")[0],
        aggregate_id=message.key.decode(),
        payload=message.value,
        **named,
    )


def write(relay: str, messages: Sequence[Outgoing]) -> None:
    """In the transaction that moves the relay's cursor. messages: prepared by `row`."""
    found = [row for each in messages for row in each.prepared]
    if found:
        columns = [list(column) for column in zip(*found, strict=True)]
        execute(WRITE, [relay, *columns]).close()
        total = sum(len(each.payload) for each in found)
        execute(relay_leases.COUNT_PENDING, [len(found), total, relay]).close()


def clear() -> int:
    """Delete the rows that the slot has passed. Returns their number."""
    if not registry.of_kind(Relay):
        return 0
    return sum([clear_relay(name) for (name,) in rows(relay_leases.WITH_PENDING)])


def clear_relay(relay: str) -> int:
    found = rows(CLEAR, [settings.cdc_slot(), relay])
    execute(relay_leases.MARK, [relay]).close()
    return int(found[0][0]) if found else 0


def first_position(relay: str) -> int | None:
    """Of the rows that the slot has not passed, as far as it is known; None without any."""
    ((position,),) = rows(FIRST, [relay])
    return None if position is None else int(position)


def empty(relay: str) -> None:
    execute(EMPTY, [relay]).close()
    execute(relay_leases.NONE_PENDING, [relay]).close()


def write_again(relay: str) -> int:
    """Returns how many rows."""
    cursor = execute(AGAIN, [relay])
    number = int(cursor.rowcount)
    cursor.close()
    execute(relay_leases.UNMARK, [relay]).close()
    return number
