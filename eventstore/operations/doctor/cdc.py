"""Change data capture: whether Debezium can read the integration outbox, and does."""

from collections.abc import Callable, Iterator

from eventstore.messaging.cdc import ways
from eventstore.messaging.cdc.connector import NAME
from eventstore.messaging.cdc.slots import SlotState
from eventstore.operations import cdc
from eventstore.operations.cdc import State

from .findings import CRITICAL, WARNING, Finding, Limits

# From which share of the WAL that a slot may keep the rest is a finding.
NEAR_THE_END = 0.5
UNFINISHED = (ways.TO_CDC, ways.TO_RELAY, ways.REFILL)


def findings(limits: Limits, *, state: Callable[[], State] = cdc.state) -> Iterator[Finding]:
    """None while no publication leaves by change data capture. One request to Kafka Connect, if
    its address is configured."""
    if not ways.by_cdc():
        return
    found = state()
    names = ", ".join(each.name for each in found.ways if each.way != ways.RELAY)
    for each in found.ways:
        if each.way in UNFINISHED:
            again = (
                "manage.py cdc create"
                if each.way == ways.REFILL
                else f"manage.py broker_handover {each.name} {each.way.removeprefix('to-')}"
                ' --reason "…"'
            )
            yield Finding(
                check="cdc-handover",
                severity=CRITICAL,
                what=f"A handover of {each.name} has begun and not ended ({each.way}).",
                culprit="a command that was interrupted, or that waits",
                why="Nothing of it is published meanwhile. Nothing is lost.",
                mend=again,
            )
    if why := cdc.problem(found.slot, found.is_published):
        yield Finding(
            check="cdc-slot",
            severity=CRITICAL,
            what=why,
            culprit=f"{found.name}, needed by {names}",
            why="Debezium publishes nothing. Nothing is lost: what it has not read is in"
            " eventstore_integration_outbox and in the log.",
            mend="manage.py cdc create; it writes what was not read once more. See"
            " docs/guide/ways-out.md.",
        )
        return
    assert found.slot is not None, "a problem without a slot"
    yield from _slot(found.slot, found, limits, names)
    yield from _wal(found.slot, found.server.wal_keep_bytes)
    yield from _synchronous(found.server.synchronous)
    yield from _connector(found, names)


def _slot(slot: SlotState, found: State, limits: Limits, names: str) -> Iterator[Finding]:
    if not slot.is_active:
        yield Finding(
            check="cdc-inactive",
            severity=CRITICAL,
            what=f"No process reads the replication slot {slot.name}; it is {slot.lag} bytes"
            " behind.",
            culprit=f"Kafka Connect, or its connector {NAME}",
            why=f"{names} publish nothing, and PostgreSQL keeps the WAL for the slot.",
            mend="Start Kafka Connect and post deploy/debezium/outbox-connector.json; or"
            " manage.py cdc drop --force, then manage.py broker_handover … relay --repeat.",
        )
    elif slot.lag > limits.slot_bytes and any(each.pending for each in found.ways):
        yield Finding(
            check="cdc-behind",
            severity=WARNING,
            what=f"The replication slot {slot.name} is {slot.lag >> 20} MiB behind.",
            culprit="Debezium, which is slower than the shop; or Kafka",
            why="Consumers see events late, and PostgreSQL keeps the WAL for the slot.",
            mend="manage.py cdc status shows how it moves.",
        )
    elif slot.lag > limits.slot_bytes:
        yield Finding(
            check="cdc-heartbeat",
            severity=WARNING,
            what=f"The replication slot {slot.name} is {slot.lag >> 20} MiB behind, and no message"
            " waits for it.",
            culprit="the connector has no heartbeat, or its heartbeat fails",
            why="PostgreSQL keeps the WAL for the slot, and its disk fills.",
            mend="Post deploy/debezium/outbox-connector.json, which has heartbeat.interval.ms and"
            " heartbeat.action.query.",
        )


def _wal(slot: SlotState, limit: int | None) -> Iterator[Finding]:
    if limit is None:
        yield Finding(
            check="cdc-wal-limit",
            severity=WARNING,
            what="max_slot_wal_keep_size has no limit.",
            culprit="the configuration of PostgreSQL",
            why="A slot that is not read fills the disk, and PostgreSQL stops.",
            mend="ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'; SELECT pg_reload_conf();",
        )
    elif slot.held > NEAR_THE_END * limit:
        yield Finding(
            check="cdc-wal-limit",
            severity=CRITICAL,
            what=f"The replication slot {slot.name} keeps {slot.held >> 20} MiB of WAL;"
            f" it is lost at {limit >> 20} MiB (max_slot_wal_keep_size).",
            culprit="Debezium does not read, or too slowly",
            why="A lost slot must be made again, and its messages are published once more.",
            mend="Start Kafka Connect; or raise max_slot_wal_keep_size and reload.",
        )


def _synchronous(names: str) -> Iterator[Finding]:
    if "*" in names:
        yield Finding(
            check="cdc-synchronous",
            severity=WARNING,
            what=f"synchronous_standby_names is {names}, which Debezium matches too.",
            culprit="the configuration of PostgreSQL",
            why="Commits wait for Debezium, which confirms once a second; and a failover loses what"
            " it alone has confirmed.",
            mend="ALTER SYSTEM SET synchronous_standby_names to the names of the standbys"
            " (application_name in pg_stat_replication); SELECT pg_reload_conf();",
        )


def _connector(found: State, names: str) -> Iterator[Finding]:
    if found.unreachable:
        yield Finding(
            check="cdc-connect",
            severity=WARNING,
            what=f"Kafka Connect does not answer: {found.unreachable}",
            culprit="Kafka Connect, or CDC_CONNECT_URL",
            why="Whether the connector's task runs is not known.",
            mend="Start Kafka Connect, or correct CDC_CONNECT_URL.",
        )
    elif found.connector is not None and not found.connector.state:
        yield Finding(
            check="cdc-task",
            severity=CRITICAL,
            what=f"Kafka Connect has no connector {NAME}.",
            culprit="it was never posted, or deleted",
            why=f"{names} publish nothing.",
            mend="curl -X POST -H 'Content-Type: application/json' --data"
            " @deploy/debezium/outbox-connector.json $CDC_CONNECT_URL/connectors",
        )
    elif found.connector is not None:
        for task in found.connector.failed:
            yield Finding(
                check="cdc-task",
                severity=CRITICAL,
                what=f"Task {task.number} of {NAME} has failed, while the connector is"
                f" {found.connector.state}: {task.trace}",
                culprit=NAME,
                why=f"{names} publish nothing.",
                mend="Correct the cause, then curl -X POST"
                f" '$CDC_CONNECT_URL/connectors/{NAME}/restart?includeTasks=true&onlyFailed=true'",
            )


CHECKS = (findings,)
