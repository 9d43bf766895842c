"""A failover under load while all publications leave by Debezium: once to a standby that keeps the
replication slot (PostgreSQL 17), once to one that does not."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from time import monotonic, sleep
from typing import Any

import psycopg

from eventstore.messaging.cdc import slots
from tools.devserver import folder, services
from tools.verification.chaos import brokers, capture
from tools.verification.chaos.broker_checks import PROMISED, REPEATED_CAPTURE, BrokerChecker
from tools.verification.chaos.brokers import Brokers
from tools.verification.chaos.capture import Capture
from tools.verification.chaos.checker import Checker, Violation, counted
from tools.verification.chaos.load import Customers
from tools.verification.chaos.proxy import Network
from tools.verification.chaos.run import SETTLE_SECONDS, new_database, prepare
from tools.verification.chaos.shop import STAFF
from tools.verification.chaos.stage import Stage
from tools.verification.drills.drill import CUSTOMERS, Options, planned_orders
from tools.verification.drills.servers import Servers

SETTLE_AT_BROKERS_SECONDS, VISIBLE_SECONDS = 240.0, 60.0
# How long the other server may take to answer commands, or Debezium to reach it.
PATIENCE_SECONDS = 90.0
RELAYED = "orders.published"
PUBLISHED = [f"{name}.published" for name in capture.PUBLICATIONS]


@dataclass(frozen=True)
class Result:
    """before: messages in Kafka before the failover. refused: what named the lost slot; empty where
    the standby has kept it. repeated: messages that came once more, under the same ids."""

    drill: str
    orders: int
    acknowledged: int
    before: int
    settled: bool
    refused: Sequence[str]
    repeated: int
    violations: Sequence[Violation]

    @property
    def figures(self) -> dict[str, object]:
        counts = Counter(counted(self.violations))
        return {
            "drill": self.drill,
            "orders": self.orders,
            "acknowledged": self.acknowledged,
            "before": self.before,
            "lost": counts["lost"],
            **{name: counts[name] for name in PROMISED},
            REPEATED_CAPTURE: self.repeated,
            "refused": len(self.refused),
            "settled": self.settled,
        }

    @property
    def passed(self) -> bool:
        is_refused = bool(self.refused) == (DRILLS[self.drill] is without_slot)
        return self.settled and not self.violations and is_refused and self.before > 0


def missing() -> str:
    """What is missing to run the drills; "" when nothing is."""
    return brokers.missing() or capture.missing()


def with_slot(stage: Stage, connect: Capture) -> list[str]:
    """Debezium goes on by itself."""
    _until("Debezium reads from the other server", lambda: connect.state() == "RUNNING")
    return []


def without_slot(stage: Stage, connect: Capture) -> list[str]:
    """The loss is refused by name; then the page of the manual is followed."""
    settings = stage.command_settings()
    refused = [_refused(stage, words) for words in REFUSED]
    connect.start_over()
    connect.manage(settings, "cdc", "drop", "--force", "--reason=failover")
    connect.manage(settings, "cdc", "create", must=True)
    connect.go_on()
    return refused


REFUSED = (
    ("cdc", "status"),
    ("broker_handover", RELAYED, "relay", "--reason=failover"),
)
NAMED = ("There is no replication slot", "was not made by manage.py cdc create", "is lost")
DRILLS: Mapping[str, Callable[[Stage, Capture], list[str]]] = {
    "cdc-failover-with-slot": with_slot,
    "cdc-failover-without-slot": without_slot,
}


def run(name: str, seed: int, options: Options) -> Result:
    """Raises SystemExit if it does not come so far."""
    after = DRILLS[name]
    with _own_stage() as (stage, at_brokers, connect):
        if after is with_slot:
            _demand_failover_slots(stage)
        servers = Servers(stage)
        database = new_database(stage, f"drill_{seed}")
        shop = prepare(database, CUSTOMERS)
        at_brokers.prepare(database)
        customers = Customers(stage.urls, shop["tokens"], STAFF)
        planned = planned_orders(seed, shop["tokens"], options)
        with stage.running(database, with_brokers=True, with_capture=True):
            slot = connect.slot if after is with_slot else ""
            servers.standby = servers.start_standby(synchronous=True, slot=slot)
            load = Thread(target=customers.run, args=(planned,), name="load")
            load.start()
            try:
                sleep(options.strike_at)
                before = len(at_brokers.kafka_records())
                servers.kill_primary()
                servers.promote(servers.standby)
                refused = after(stage, connect)
            finally:
                load.join()
            stage.wait_until_ready()
            settled, violations, counts = _check(stage, at_brokers, shop, customers)
    return Result(
        drill=name,
        orders=len(planned),
        acknowledged=customers.acknowledged,
        before=before,
        settled=settled,
        refused=refused,
        repeated=counts[REPEATED_CAPTURE],
        violations=violations,
    )


@contextmanager
def _own_stage() -> Iterator[tuple[Stage, Brokers, Capture]]:
    network = Network()
    with folder.throwaway() as path, services.started(path) as found:
        both = Brokers(path, found.running, network, with_capture=True)
        stage = Stage(path, found.running, found.settings, network, brokers=both)
        try:
            assert both.capture is not None
            yield stage, both, both.capture
        finally:
            stage.keeper.close()
            network.close()


def _demand_failover_slots(stage: Stage) -> None:
    with psycopg.connect(stage.server) as connection:
        version = connection.info.server_version
    if version < slots.FAILOVER_VERSION:
        raise SystemExit(f"drills: a standby keeps slots from PostgreSQL 17 on, not in {version}")


def _refused(stage: Stage, words: Sequence[str]) -> str:
    """What the command says as it refuses; it is asked again until the other server answers."""
    assert stage.capture is not None
    connect, outputs = stage.capture, [""]

    def is_named() -> bool:
        done, outputs[0] = connect.manage(stage.command_settings(), *words)
        return not done and any(each in outputs[0] for each in NAMED)

    _until(f"manage.py {' '.join(words)} names the lost slot", is_named)
    return outputs[0]


def _check(
    stage: Stage, at_brokers: Brokers, shop: Any, customers: Customers
) -> tuple[bool, list[Violation], Counter[str]]:
    """Brokers first: their consumers may still have effects, which the other checks count too."""
    checker = Checker(
        stage.database, stage.urls[0], shop["tokens"], STAFF, customers.log, shop["stock"]
    )
    messages = BrokerChecker(at_brokers, stage.database, captured=True)
    settled = [
        checker.settle(seconds=SETTLE_SECONDS),
        messages.settle(seconds=SETTLE_AT_BROKERS_SECONDS),
    ]
    found, counts = messages.check(seconds=VISIBLE_SECONDS)
    return None not in settled, [*checker.check(), *found], counts


def _until(what: str, condition: Callable[[], object]) -> None:
    until = monotonic() + PATIENCE_SECONDS
    while not condition():
        if monotonic() > until:
            raise SystemExit(f"drills: not in {PATIENCE_SECONDS:.0f} s: {what}")
        sleep(0.5)
