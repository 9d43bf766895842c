"""One drill: the database is lost under load and another server takes its place; then every order
is checked."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import psycopg

from tools.devserver import environment, folder, services
from tools.verification.chaos.checker import Checker, Violation
from tools.verification.chaos.checks import DOUBLED, LOST, MONEY, OVERSOLD, UNFINISHED, WRONG
from tools.verification.chaos.load import Customers, SentCommand, plan_orders
from tools.verification.chaos.proxy import Network
from tools.verification.chaos.run import by_popularity, new_database, prepare
from tools.verification.chaos.shop import STAFF
from tools.verification.chaos.stage import Stage
from tools.verification.drills.provider import Provider
from tools.verification.drills.servers import Servers

CUSTOMERS = 40
# This subscription is paused before the loss begins, so that some surviving orders have no request
# to charge.
CHARGING, PAUSE_SECONDS = "payments", 1.0
# Seconds that the standby lacks, and that a restore goes back.
BEHIND_SECONDS = 1.5
BACK_SECONDS = 3.0
SETTLE_SECONDS = 45.0

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# Commands that report what a failover or a restore has lost, if this version has them.
AFTERWARDS = (("after_restore", "--reason", "a drill"), ("reconcile_payments", "--json"))
# The range of lost positions in the output of after_restore.
INTACT = re.compile(r"all events up to\s+position (\d+) are intact")
RESUMED = re.compile(r"New positions begin after (\d+)")

Strike = Callable[[Servers], None]


@dataclass(frozen=True)
class Options:
    """seconds: of load. strike_at: seconds until the loss. rate: orders a second. restart: our
    processes after the loss."""

    seconds: float = 14.0
    strike_at: float = 6.0
    rate: float = 20.0
    restart: bool = False
    settle: float = SETTLE_SECONDS


@dataclass(frozen=True)
class Result:
    """lost: acknowledged commands that are not in the log. charges_without_order: orders that the
    provider has charged and the log lacks. named: those of both that a command reports. output: of
    the commands.
    """

    drill: str
    orders: int
    acknowledged: int
    lost: int
    named: int
    charges_without_order: int
    settled_after: float | None
    violations: Sequence[Violation]
    seen: Mapping[str, int]
    output: str

    @property
    def figures(self) -> dict[str, object]:
        counts: Counter[str] = Counter()
        for each in self.violations:
            counts[each.counts_as] += each.count
        names = {"charged_twice": CHARGED_TWICE, "unnamed": UNNAMED}
        found = {
            name: sum(v.count for v in self.violations if v.check == check)
            for name, check in names.items()
        }
        return {"drill": self.drill, "orders": self.orders, "acknowledged": self.acknowledged} | {
            "lost": self.lost,
            "named": self.named,
            "charges_without_order": self.charges_without_order,
            **found,
            "stuck": counts[UNFINISHED],
            **{name: counts[name] for name in (DOUBLED, OVERSOLD, MONEY, WRONG)},
            "lost_otherwise": counts[LOST] - found["unnamed"],
            "settled": self.settled_after is not None,
        }

    @property
    def passed(self) -> bool:
        return not self.violations and self.settled_after is not None


CHARGED_TWICE = "no order was charged twice"
KEY_IN_LOG = "every call to the provider has the idempotency key of a request in the log"
UNNAMED = "a command names everything that was acknowledged or charged and is lost"


def asynchronous_failover(servers: Servers) -> None:
    """The standby lacks the last writes: orders, and charges of orders that it has."""
    servers.pause(CHARGING)
    sleep(PAUSE_SECONDS)
    servers.hold_back()
    servers.resume(CHARGING)
    sleep(BEHIND_SECONDS)
    servers.kill_primary()
    servers.promote(servers.standby)
    servers.resume(CHARGING)


def synchronous_failover(servers: Servers) -> None:
    servers.kill_primary()
    servers.promote(servers.standby)


def restore_to_a_moment(servers: Servers) -> None:
    """An operator restores the database to a moment some seconds ago."""
    servers.pause(CHARGING)
    sleep(PAUSE_SECONDS)
    moment = servers.moment()
    servers.resume(CHARGING)
    sleep(BACK_SECONDS)
    servers.kill_primary()
    servers.restore(moment)
    servers.resume(CHARGING)


DRILLS: dict[str, tuple[Strike, dict[str, Any]]] = {
    "asynchronous-failover": (asynchronous_failover, {}),
    "synchronous-failover": (synchronous_failover, {}),
    "restore": (restore_to_a_moment, {}),
    "restore-and-restart": (restore_to_a_moment, {"restart": True}),
}


@contextmanager
def own_stage() -> Iterator[tuple[Stage, Provider]]:
    network = Network()
    with folder.throwaway() as path, services.started(path) as found:
        provider = Provider(path)
        stage = Stage(path, found.running, found.settings, network, extra=provider.settings)
        try:
            provider.start(stage.keeper)
            yield stage, provider
        finally:
            stage.keeper.close()
            network.close()


def run(
    name: str, seed: int, options: Options, *, sabotage: str = "", logs: Path | None = None
) -> Result:
    """sabotage: the mistake of the workers. logs: a folder for the logs of a failed drill."""
    strike, more = DRILLS[name]
    options = replace(options, **more)
    with own_stage() as (stage, provider):
        servers = Servers(stage)
        servers.archive_from_now_on()
        database = new_database(stage, f"drill_{seed}")
        shop = prepare(database, CUSTOMERS)
        if strike is restore_to_a_moment:
            servers.take_backup()
        else:
            servers.standby = servers.start_standby(synchronous=strike is synchronous_failover)
        customers = Customers(stage.urls, shop["tokens"], STAFF)
        with stage.running(database, sabotage=sabotage):
            planned = planned_orders(seed, shop["tokens"], options)
            output = _strike_under_load(customers, planned, servers, strike, options)
            stage.wait_until_ready()
            result = _check(name, stage, shop, customers, provider, output, len(planned), options)
        if logs and not result.passed:
            (logs / name).mkdir(parents=True, exist_ok=True)
            for log in stage.path.glob("*.log"):
                (logs / name / log.name).write_bytes(log.read_bytes())
    return result


def planned_orders(seed: int, tokens: Mapping[str, str], options: Options) -> list[Any]:
    """No command is sent twice at once: one response could be lost, and the other repeated."""
    names = sorted(set(tokens) - {STAFF})
    orders = plan_orders(
        seed, by_popularity(seed), names, rate=options.rate, seconds=options.seconds
    )
    return [replace(order, twice=False) for order in orders]


def _strike_under_load(
    customers: Customers, planned: Sequence[Any], servers: Servers, strike: Strike, options: Options
) -> str:
    load = Thread(target=customers.run, args=(planned,), name="load")
    load.start()
    try:
        sleep(options.strike_at)
        strike(servers)
        output = _outputs(servers.stage, "after_restore", "reconcile_payments")
        if options.restart:
            servers.stage.restart()
    finally:
        load.join()
    return output


def _outputs(stage: Stage, *names: str) -> str:
    """Of the runbook's commands, as an operator runs them when the other server is up."""
    available = _manage(stage, "help", "--commands").split()
    return "\n".join(
        _manage(stage, *words)
        for words in AFTERWARDS
        if words[0] in available and words[0] in names
    )


def _manage(stage: Stage, *words: str) -> str:
    settings = {
        "DATABASE_URL": stage.database,
        "SECRET_KEY": "only-for-chaos",
        "EVENTSTORE_WAKE_WORKERS": "0",
        "LOG_LEVEL": "ERROR",
    }
    settings = environment.STAND_INS | settings | stage.extra
    command = [sys.executable, "-W", "ignore", "manage.py", *words]
    done = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=120
    )
    # stderr too: commands log some findings as errors.
    return done.stdout + done.stderr


def _check(
    name: str,
    stage: Stage,
    shop: Any,
    customers: Customers,
    provider: Provider,
    output: str,
    orders: int,
    options: Options,
) -> Result:
    everything = dict(customers.log)
    settled = _checker(stage, shop, everything, []).settle(seconds=options.settle)
    book = provider.book()
    # Once more: calls that were in progress have ended.
    output += _outputs(stage, "reconcile_payments")
    lost = _checker(stage, shop, everything, book).lost()
    placed = _placed(stage.database)
    gone = {
        order_id
        for order_id, balance in _balances(book).items()
        if balance and order_id not in placed
    }
    unnamed = _unnamed([everything[key] for key in sorted(lost)], sorted(gone), output)
    surviving = {
        key: each
        for key, each in everything.items()
        if key not in lost and (not each.order_id or each.order_id in placed)
    }
    checker = _checker(stage, shop, surviving, [entry for entry in book if entry[2] in placed])
    violations = [*_unexplained(checker, output), *_charged_twice(book)]
    if unnamed:
        violations.append(Violation(UNNAMED, LOST, len(unnamed), unnamed[:5]))
    return Result(
        drill=name,
        orders=orders,
        acknowledged=customers.acknowledged,
        lost=len(lost),
        named=len(lost) + len(gone) - len(unnamed),
        charges_without_order=len(gone),
        settled_after=settled,
        violations=list({each.check: each for each in violations}.values()),
        seen=dict(customers.seen),
        output=output,
    )


def _unnamed(lost: Sequence[SentCommand], gone: Sequence[str], output: str) -> list[str]:
    """Keys of lost commands, and ids of charged orders that are gone, which no command names.

    after_restore names a range of lost positions: a client whose response has one of these knows
    that its command is lost.
    """
    named = set(UUID.findall(output))
    intact, resumed = INTACT.search(output), RESUMED.search(output)
    positions = range(0)
    if intact and resumed:
        positions = range(int(intact[1]) + 1, int(resumed[1]) + 1)
    keys = [
        each.key
        for each in lost
        if each.order_id not in named
        and int(json.loads(each.answers[0])["position"]) not in positions
    ]
    return keys + [order_id for order_id in gone if order_id not in named]


def _unexplained(checker: Checker, output: str) -> Iterator[Violation]:
    """Violations that no command explains. The provider keeps payments and refunds of the lost
    period; such a row counts only if no command names it."""
    named = set(UUID.findall(output))
    for check, counts_as, rows in checker.found():
        may_be_named = counts_as == MONEY or check == KEY_IN_LOG
        found = [row for row in rows if not (may_be_named and row in named)]
        if found:
            yield Violation(check, counts_as, len(found), found[:5])


def _checker(
    stage: Stage, shop: Any, log: Mapping[str, SentCommand], book: Sequence[Any]
) -> Checker:
    return Checker(stage.database, stage.urls[0], shop["tokens"], STAFF, log, shop["stock"], book)


def _placed(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT data->>'order_id' FROM eventstore_event WHERE type = 'orders.order_placed'"
        )
        return {order_id for (order_id,) in found}


def _balances(book: Sequence[Any]) -> Counter[str]:
    """Charges less refunds, by order."""
    balances: Counter[str] = Counter()
    for _, kind, order_id, moved in book:
        balances[order_id] += moved if kind == "charge" else -moved
    return balances


def _charged_twice(book: Sequence[Any]) -> list[Violation]:
    """Of all orders, also the lost ones."""
    charges = Counter(order_id for _, kind, order_id, moved in book if kind == "charge" and moved)
    twice = sorted(order_id for order_id, count in charges.items() if count > 1)
    return [Violation(CHARGED_TWICE, DOUBLED, len(twice), twice[:5])] if twice else []


def summary(result: Result) -> str:
    settled = (
        "never settled"
        if result.settled_after is None
        else f"settled after {result.settled_after:.1f} s"
    )
    figures = ", ".join(
        f"{value} {name}" for name, value in result.figures.items() if name != "drill"
    )
    wrong = [f"  {v.counts_as}: {v.check}: {v.count} {list(v.examples)}" for v in result.violations]
    return "\n".join([f"{result.drill}: {figures}; {settled}", *wrong])


def as_json(result: Result) -> dict[str, Any]:
    return asdict(result) | {"figures": result.figures, "passed": result.passed}
