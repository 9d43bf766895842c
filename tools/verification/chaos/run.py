"""One run: load with faults, then neither, then the checker."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from threading import Thread
from time import monotonic
from typing import Any

import psycopg

from tools.verification.chaos import plan
from tools.verification.chaos.broker_checks import BrokerChecker
from tools.verification.chaos.checker import Checker, Violation
from tools.verification.chaos.checks import WRONG
from tools.verification.chaos.load import UNEXPLAINED, Customers, plan_orders
from tools.verification.chaos.nemesis import NOT_RUN, Nemesis
from tools.verification.chaos.plan import Fault
from tools.verification.chaos.shop import SKUS, STAFF
from tools.verification.chaos.stage import Stage

CALM_SECONDS = 5.0
# Several leases: the call of a dead worker is retried after its lease expires.
SETTLE_SECONDS = 45.0
# A killed relay's transaction hides what follows it until Kafka aborts it, after 12 s; and a killed
# consumer keeps its partitions for a session of 10 s.
VISIBLE_SECONDS = 30.0

# A run proves something only if so many orders were acknowledged, and if all of these happened.
MOST_ARE_SERVED = 0.9
MUST_HIT = ("killed_in_a_transaction", "client_retries", "responses_replayed", "calls_retried")


@dataclass(frozen=True)
class Options:
    """rate: orders a second. gap: range of seconds between two faults. brokers: whether Kafka and
    RabbitMQ take part. capture: whether all publications leave by Debezium. must_hit: what must
    have happened."""

    seconds: float
    rate: float
    gap: tuple[float, float]
    customers: int = 200
    deck: dict[str, int] = field(default_factory=lambda: plan.DECK)
    settle: float = SETTLE_SECONDS
    brokers: bool = False
    capture: bool = False
    must_hit: Sequence[str] = MUST_HIT


@dataclass(frozen=True)
class Result:
    """faults: the log of the nemesis. hits: counts of their effects. settled_after: seconds, or
    None."""

    seed: int
    orders: int
    acknowledged: int
    faults: list[dict[str, Any]]
    hits: dict[str, int]
    seen: dict[str, int]
    milliseconds: dict[str, float]
    settled_after: float | None
    violations: list[Violation]
    must_hit: Sequence[str] = MUST_HIT
    brokers: bool = False
    capture: bool = False

    @property
    def passed(self) -> bool:
        return not self.violations and self.settled_after is not None

    @property
    def missed(self) -> list[str]:
        """Why the run proves nothing: faults without an effect, or too few acknowledged orders."""
        too_few = (
            ["acknowledged orders"] if self.acknowledged < self.orders * MOST_ARE_SERVED else []
        )
        kinds = {each["what"] for each in self.faults if not each["did"].startswith(NOT_RUN)}
        return [
            each for each in (*self.must_hit, *sorted(kinds)) if not self.hits.get(each)
        ] + too_few


def run(
    stage: Stage,
    seed: int,
    options: Options,
    *,
    sabotage: str = "",
    by: Callable[[Stage, int], Nemesis] = Nemesis,
) -> Result:
    """sabotage: the mistake of workers and consumers. by: the class of the nemesis."""
    database = new_database(stage, f"chaos_{seed}_{sabotage or 'plain'}")
    shop = prepare(database, options.customers)
    restarts = stage.keeper.restarts
    at_brokers = _prepared_brokers(stage, database, options) if options.brokers else None
    with stage.running(
        database,
        sabotage=sabotage,
        with_brokers=options.brokers,
        with_capture=options.capture,
    ):
        customers = Customers(stage.urls, shop["tokens"], STAFF)
        names, skus = sorted(set(shop["tokens"]) - {STAFF}), by_popularity(seed)
        planned = [*plan_orders(seed, skus, names, rate=options.rate, seconds=options.seconds)]
        faults = plan.plan(
            seed, begin=CALM_SECONDS, end=options.seconds, gap=options.gap, deck=options.deck
        )
        nemesis = by(stage, seed)
        _run_under_load(customers, planned, nemesis, faults)
        stage.wait_until_ready()
        checker = Checker(
            database, stage.urls[0], shop["tokens"], STAFF, customers.log, shop["stock"]
        )
        settled, found, counts = _settled_and_checked(checker, at_brokers, options.settle)
        violations = [*found, *_wrong_responses(customers, nemesis.hits)]
        hits = nemesis.hits + _hits(customers, database) + counts
        hits["restarts"] = stage.keeper.restarts - restarts
    customers.write(stage.path / f"{database.rpartition('/')[2]}.clients.jsonl")
    return Result(
        seed=seed,
        orders=len(planned),
        acknowledged=customers.acknowledged,
        faults=nemesis.log,
        hits=dict(hits),
        seen=dict(customers.seen),
        milliseconds=_percentiles(customers.milliseconds),
        settled_after=settled,
        violations=violations,
        must_hit=options.must_hit,
        brokers=options.brokers,
        capture=options.capture,
    )


def _prepared_brokers(stage: Stage, database: str, options: Options) -> BrokerChecker:
    assert stage.brokers is not None
    stage.brokers.prepare(database)
    return BrokerChecker(stage.brokers, database, captured=options.capture)


def _settled_and_checked(
    checker: Checker, at_brokers: BrokerChecker | None, seconds: float
) -> tuple[float | None, list[Violation], Counter[str]]:
    """Brokers first: their consumers may still have effects, which the other checks count too."""
    settled = checker.settle(seconds=seconds)
    if at_brokers is None:
        return settled, checker.check(), Counter()
    later = at_brokers.settle(seconds=seconds)
    found, counts = at_brokers.check(seconds=VISIBLE_SECONDS)
    if settled is not None:
        settled = None if later is None else settled + later
    return settled, [*checker.check(), *found], counts


def _run_under_load(
    customers: Customers, planned: Sequence[Any], nemesis: Nemesis, faults: Sequence[Fault]
) -> None:
    load = Thread(target=customers.run, args=(planned,), name="load")
    load.start()
    try:
        nemesis.run_plan(faults, monotonic())
    finally:
        nemesis.stop_faults()
        load.join()


def prepare(database: str, customers: int) -> Any:
    shop = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tools.verification.chaos.shop", str(customers)],
        env=_shop_environment(database),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(shop.stdout.splitlines()[-1])


def _shop_environment(database: str) -> dict[str, str]:
    settings = {
        "DATABASE_URL": database,
        "SECRET_KEY": "only-for-chaos",
        "EVENTSTORE_WAKE_WORKERS": "0",
        "LOG_LEVEL": "ERROR",
    }
    return {"DJANGO_SETTINGS_MODULE": "config.settings", **os.environ, **settings}


def new_database(stage: Stage, name: str) -> str:
    with psycopg.connect(stage.database_named("postgres"), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        server.execute(f'CREATE DATABASE "{name}"'.encode())
    return stage.database_named(name)


def by_popularity(seed: int) -> list[str]:
    """The SKUs in the order of demand: the scarce ones first, the others shuffled by the seed."""
    rest = SKUS[3:]
    Random(f"popular {seed}").shuffle(rest)
    return [*SKUS[:3], *rest]


def _wrong_responses(customers: Customers, hits: Counter[str]) -> list[Violation]:
    """A failure of a service must give 503 with Retry-After; 500 is always a bug."""
    counts = {
        "no response has status 500": customers.seen["500"],
        "a 5xx response has Retry-After": customers.seen[UNEXPLAINED],
        "no forged webhook is accepted": hits["forgeries_accepted"],
    }
    return [Violation(name, WRONG, count, []) for name, count in counts.items() if count]


def _hits(customers: Customers, database: str) -> Counter[str]:
    seen = customers.seen
    with psycopg.connect(database) as connection:
        row = connection.execute(
            "SELECT count(*) FROM payments_sandbox_entry WHERE tries > 1"
        ).fetchone()
    return Counter(
        client_retries=sum(max(0, len(each.tries) - 1) for each in customers.log.values()),
        responses_replayed=sum(count for what, count in seen.items() if what.endswith("replayed")),
        conflicts=seen["409"],
        connections_lost=sum(count for what, count in seen.items() if not what[:1].isdigit()),
        calls_retried=int(row[0]) if row else 0,
    )


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    taken = sorted(milliseconds) or [0.0]
    return {
        f"p{share}": round(taken[int((len(taken) - 1) * share / 100)], 1) for share in (50, 95, 99)
    }
