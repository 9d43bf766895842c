"""Change data capture: make and drop what Debezium reads by, and show its state."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from django.db import DatabaseError

from eventstore import registry, settings
from eventstore.log import audit
from eventstore.messaging.cdc import connector, outbox, slots, topics, ways
from eventstore.messaging.cdc.connector import ConnectorState, ConnectUnreachable
from eventstore.messaging.cdc.slots import Server, SlotState
from eventstore.messaging.cdc.ways import CDC, REFILL, Way
from eventstore.outbox import cursors, wakeup
from eventstore.postgres import atomic
from eventstore.subscriptions import Relay

from .control import OperationRefused

REMAKE = "stop the connector, manage.py cdc drop --force, then manage.py cdc create"
SLOT_NAME = re.compile(r"[a-z0-9_]{1,63}")


class State(NamedTuple):
    """is_published: whether the publication of PostgreSQL is right; None without one. ways: of the
    relays to Kafka, and of those that need the slot although the wiring lacks them. connector: None
    where no address is configured, or for unreachable, which says why."""

    name: str
    server: Server
    slot: SlotState | None
    is_published: bool | None
    ways: Sequence[Way]
    connector: ConnectorState | None = None
    unreachable: str = ""


def state() -> State:
    name, address = settings.cdc_slot(), settings.cdc_connect_url()
    found, unreachable = None, ""
    if address:
        try:
            found = connector.state(address)
        except ConnectUnreachable as error:
            unreachable = str(error)
    return State(
        name=name,
        server=slots.server(),
        slot=slots.state(name),
        is_published=slots.is_published(name),
        ways=[ways.of(each) for each in sorted({*relays(), *(way.name for way in ways.by_cdc())})],
        connector=found,
        unreachable=unreachable,
    )


def relays() -> list[str]:
    """Those that can be handed over: to Kafka."""
    return [name for name, each in registry.of_kind(Relay).items() if topics.is_kafka(each.broker)]


def problem(slot: SlotState | None, is_published: bool | None) -> str:
    """Why Debezium cannot read, as a sentence; "" if it can."""
    name = settings.cdc_slot()
    if slot is None:
        return f"There is no replication slot {name}: manage.py cdc create."
    if slot.is_lost:
        why = slot.invalidation or "its WAL was removed"
        return f"The replication slot {name} is lost ({why}): {REMAKE}."
    if not slot.is_ours:
        return f"The replication slot {name} was not made by manage.py cdc create: {REMAKE}."
    if is_published is None:
        return f"There is no publication {name} in PostgreSQL: manage.py cdc create."
    if not is_published:
        return (
            f"The publication {name} in PostgreSQL must publish inserts of {slots.TABLE} and"
            f" nothing else: {REMAKE}."
        )
    return ""


def create(*, who: str, reason: str = "") -> list[str]:
    """Make what is missing, and write the messages that an earlier slot has not passed once more.
    Returns what was done. Raises OperationRefused, BrokerProblem."""
    name, done = settings.cdc_slot(), []
    server = slots.server()
    _demand_server(name, server)
    with _refusing():
        if slots.is_published(name) is None:
            slots.create_publication(name)
            done.append(f"publication {name}")
        if slots.state(name) is None:
            with atomic():
                for each in ways.by_cdc():
                    if each.way == CDC:
                        ways.change(each.name, REFILL)
            slots.create(name, for_failover=server.version >= slots.FAILOVER_VERSION)
            done.append(f"replication slot {name}")
    if why := problem(slots.state(name), slots.is_published(name)):
        raise OperationRefused(why)
    # Relays that waited for a slot go on: each writes its rows once more, in front of new ones.
    number = 0
    for each in ways.by_cdc():
        if each.way == REFILL:
            with atomic():
                cursors.hold(each.name)
                ways.lock(each.name)
                number += outbox.write_again(each.name)
                ways.change(each.name, CDC)
    wakeup.wake_workers()
    if number:
        done.append(f"{number} messages written once more")
    for broker in sorted({registry.of_kind(Relay)[each].broker for each in relays()}):
        if topics.create_heartbeats(broker, name):
            done.append(f"topic {topics.heartbeats(name)}")
    if done:
        audit.record(who, "cdc create", name, reason=reason.strip(), details={"made": done})
    return done


def drop(*, who: str, reason: str = "", force: bool = False) -> None:
    """Drop slot and publication. force: although relays need them; what Debezium has not read stays
    in the table. Raises OperationRefused, audit.ReasonMissing."""
    name = settings.cdc_slot()
    if needed := [each.name for each in ways.by_cdc()]:
        if not force:
            raise OperationRefused(
                f"{', '.join(needed)} need the slot. First manage.py broker_handover … relay; or"
                " drop it with --force: messages that Debezium has not read stay in the table."
            )
        reason = audit.require_reason(reason)
    found = slots.state(name)
    if found is not None and found.is_active:
        raise OperationRefused(f"The slot {name} is in use: stop the connector first.")
    with _refusing():
        slots.drop(name)
    audit.record(who, "cdc drop", name, reason=reason.strip(), details={"needed": needed})


def _demand_server(name: str, server: Server) -> None:
    if not SLOT_NAME.fullmatch(name):
        raise OperationRefused(
            f"{name!r} is not a name for a replication slot: CDC_SLOT takes lower-case letters,"
            " digits and underscores, at most 63."
        )
    if server.wal_level != "logical":
        raise OperationRefused(
            f"wal_level is {server.wal_level}, and logical decoding needs logical: ALTER SYSTEM SET"
            " wal_level = logical; then restart PostgreSQL."
        )
    if server.is_standby:
        raise OperationRefused("The database is a standby: make the slot on its primary.")


@contextmanager
def _refusing() -> Iterator[None]:
    """What the server refuses, such as a missing privilege or too many slots."""
    try:
        yield
    except DatabaseError as error:
        raise OperationRefused(f"PostgreSQL refuses: {str(error).strip()}") from None
