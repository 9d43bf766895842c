"""One run: load and faults side by side, then peace, then quiet, then the checker."""

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
from tools.verification.chaos.checker import Checker, Violation
from tools.verification.chaos.checks import WRONG
from tools.verification.chaos.load import UNTOLD, Customers, wishes
from tools.verification.chaos.nemesis import NOT_RUN, Nemesis
from tools.verification.chaos.plan import Fault
from tools.verification.chaos.shop import SKUS, STAFF
from tools.verification.chaos.stage import Stage

CALM_SECONDS = 5.0
# Several leases: a call whose worker died is made again when its lease has run out.
SETTLE_SECONDS = 45.0

# What a run must have hit to be worth anything.
MOST_ARE_SERVED = 0.9
MUST_HIT = ("struck_in_a_transaction", "client_retries", "answers_replayed", "calls_tried_again")


@dataclass(frozen=True)
class Form:
    """rate: orders a second. gap: seconds between two faults. must_hit: what else it must have
    met."""

    seconds: float
    rate: float
    gap: tuple[float, float]
    customers: int = 200
    deck: dict[str, int] = field(default_factory=lambda: plan.DECK)
    settle: float = SETTLE_SECONDS
    must_hit: Sequence[str] = MUST_HIT


@dataclass(frozen=True)
class Result:
    """faults: what the nemesis did. hits: what of it met somebody at work. settled_after: seconds,
    if it did."""

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

    @property
    def passed(self) -> bool:
        return not self.violations and self.settled_after is not None

    @property
    def missed(self) -> list[str]:
        """Why it proves nothing: a kind of fault that never hit anybody, or a shop in which nobody
        could buy."""
        deserted = (
            ["acknowledged orders"] if self.acknowledged < self.orders * MOST_ARE_SERVED else []
        )
        kinds = {each["what"] for each in self.faults if not each["did"].startswith(NOT_RUN)}
        return [
            each for each in (*self.must_hit, *sorted(kinds)) if not self.hits.get(each)
        ] + deserted


def run(
    stage: Stage,
    seed: int,
    form: Form,
    *,
    sabotage: str = "",
    by: Callable[[Stage, int], Nemesis] = Nemesis,
) -> Result:
    """sabotage: what the workers do wrong. by: who breaks what."""
    database = _new_database(stage, f"chaos_{seed}_{sabotage or 'plain'}")
    shop = _prepare(database, form.customers)
    restarts = stage.keeper.restarts
    with stage.playing(database, sabotage=sabotage):
        customers = Customers(stage.urls, shop["tokens"], STAFF)
        names = sorted(set(shop["tokens"]) - {STAFF})
        wanted = list(wishes(seed, _popular(seed), names, rate=form.rate, seconds=form.seconds))
        faults = plan.plan(seed, begin=CALM_SECONDS, end=form.seconds, gap=form.gap, deck=form.deck)
        nemesis = by(stage, seed)
        _break_under_load(customers, wanted, nemesis, faults)
        stage.wait_until_ready()
        checker = Checker(
            database, stage.urls[0], shop["tokens"], STAFF, customers.log, shop["stock"]
        )
        settled = checker.settle(seconds=form.settle)
        violations = [*checker.check(), *_unseemly(customers, nemesis.hits)]
        hits = (
            nemesis.hits
            + _hits(customers, database)
            + Counter(restarts=stage.keeper.restarts - restarts)
        )
    customers.write(stage.path / f"{database.rpartition('/')[2]}.clients.jsonl")
    return Result(
        seed=seed,
        orders=len(wanted),
        acknowledged=sum(
            bool(each.answers) for each in customers.log.values() if each.kind == "place"
        ),
        faults=nemesis.log,
        hits=dict(hits),
        seen=dict(customers.seen),
        milliseconds=_percentiles(customers.milliseconds),
        settled_after=settled,
        violations=violations,
        must_hit=form.must_hit,
    )


def _break_under_load(
    customers: Customers, wanted: Sequence[Any], nemesis: Nemesis, faults: Sequence[Fault]
) -> None:
    load = Thread(target=customers.live, args=(wanted,), name="load")
    load.start()
    try:
        nemesis.carry_out(faults, monotonic())
    finally:
        nemesis.make_peace()
        load.join()


def _prepare(database: str, customers: int) -> Any:
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
    return {**os.environ, "DJANGO_SETTINGS_MODULE": "config.settings", **settings}


def _new_database(stage: Stage, name: str) -> str:
    with psycopg.connect(stage.database_named("postgres"), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        server.execute(f'CREATE DATABASE "{name}"'.encode())
    return stage.database_named(name)


def _popular(seed: int) -> list[str]:
    """The scarce ones first, the others in an order of the seed's own."""
    rest = SKUS[3:]
    Random(f"popular {seed}").shuffle(rest)
    return [*SKUS[:3], *rest]


def _unseemly(customers: Customers, hits: Counter[str]) -> list[Violation]:
    """Whatever is down, a client is told so, and when to come again; a 500 is a mistake of ours."""
    counts = {
        "no client is answered with 500": customers.seen["500"],
        "who cannot be served is told when to come again": customers.seen[UNTOLD],
        "nobody believes a forged webhook": hits["forgeries_believed"],
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
        answers_replayed=sum(count for what, count in seen.items() if what.endswith("replayed")),
        conflicts=seen["409"],
        connections_lost=sum(count for what, count in seen.items() if not what[:1].isdigit()),
        calls_tried_again=int(row[0]) if row else 0,
    )


def _percentiles(milliseconds: Sequence[float]) -> dict[str, float]:
    taken = sorted(milliseconds) or [0.0]
    return {
        f"p{share}": round(taken[int((len(taken) - 1) * share / 100)], 1) for share in (50, 95, 99)
    }
