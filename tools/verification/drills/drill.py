"""One drill: orders flow, the database is lost and another takes its place, orders flow on; then
everybody is asked."""

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
from tools.verification.chaos.load import Asked, Customers, wishes
from tools.verification.chaos.proxy import Network
from tools.verification.chaos.run import _new_database, _popular, _prepare
from tools.verification.chaos.shop import STAFF
from tools.verification.chaos.stage import Stage
from tools.verification.drills.provider import Provider
from tools.verification.drills.servers import Servers

CUSTOMERS = 40
# Halted before the moment from which on everything is lost, so that orders are known of which no
# request to charge is.
CHARGING, PAUSE_SECONDS = "payments", 1.0
# How much the standby lacks, and how far back is restored.
BEHIND_SECONDS = 1.5
BACK_SECONDS = 3.0
SETTLE_SECONDS = 45.0

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What tells what a failover or a restore has taken, where this version has it.
AFTERWARDS = (("after_restore", "--reason", "a drill"), ("reconcile_payments", "--json"))
# The stretch of positions that is lost, as after_restore tells it.
INTACT = re.compile(r"all up to\s+position (\d+) is there")
ANEW = re.compile(r"New positions lie behind (\d+)")

Strike = Callable[[Servers], None]


@dataclass(frozen=True)
class Form:
    """seconds: of load. strike_at: when the database is lost. rate: orders a second. restart: of
    ours, after it."""

    seconds: float = 14.0
    strike_at: float = 6.0
    rate: float = 20.0
    restart: bool = False
    settle: float = SETTLE_SECONDS


@dataclass(frozen=True)
class Result:
    """lost: commands that were acknowledged and are not in the log. named: of those and of charges,
    told by a command.

    charges_of_none: orders that the provider has charged and the log does not know. said: what the
    commands said.
    """

    drill: str
    orders: int
    acknowledged: int
    lost: int
    named: int
    charges_of_none: int
    settled_after: float | None
    violations: Sequence[Violation]
    seen: Mapping[str, int]
    said: str

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
            "charges_of_none": self.charges_of_none,
            **found,
            "stuck": counts[UNFINISHED],
            **{name: counts[name] for name in (DOUBLED, OVERSOLD, MONEY, WRONG)},
            "lost_besides": counts[LOST] - found["unnamed"],
            "settled": self.settled_after is not None,
        }

    @property
    def passed(self) -> bool:
        return not self.violations and self.settled_after is not None


CHARGED_TWICE = "nobody was charged twice"
ASKED_FOR = "the provider was asked only under the keys of our own requests"
UNNAMED = "what was acknowledged or charged and is gone is named by a command"


def asynchronous_failover(servers: Servers) -> None:
    """The standby lacks what was written last: orders, and charges of orders that it has."""
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
    """An operator takes the database back to some seconds ago."""
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
def stage_of_its_own() -> Iterator[tuple[Stage, Provider]]:
    network = Network()
    with folder.throwaway() as path, services.started(path) as found:
        provider = Provider(path)
        stage = Stage(path, found.running, found.settings, network, told=provider.settings)
        try:
            provider.start(stage.keeper)
            yield stage, provider
        finally:
            stage.keeper.close()
            network.close()


def run(
    name: str, seed: int, form: Form, *, sabotage: str = "", logs: Path | None = None
) -> Result:
    """sabotage: what the workers do wrong. logs: a folder for those of a drill that failed."""
    strike, more = DRILLS[name]
    form = replace(form, **more)
    with stage_of_its_own() as (stage, provider):
        servers = Servers(stage)
        servers.archive_from_now_on()
        database = _new_database(stage, f"drill_{seed}")
        shop = _prepare(database, CUSTOMERS)
        if strike is restore_to_a_moment:
            servers.take_backup()
        else:
            servers.standby = servers.start_standby(synchronous=strike is synchronous_failover)
        customers = Customers(stage.urls, shop["tokens"], STAFF)
        with stage.playing(database, sabotage=sabotage):
            wanted = _wanted(seed, shop["tokens"], form)
            said = _strike_under_load(customers, wanted, servers, strike, form, provider)
            stage.wait_until_ready()
            result = _ask(name, stage, shop, customers, provider, said, len(wanted), form)
        if logs and not result.passed:
            _keep(stage.path, logs / name)
    return result


def _wanted(seed: int, tokens: Mapping[str, str], form: Form) -> list[Any]:
    """Nobody asks twice at once here: of two answers, one may be lost and the other given again."""
    names = sorted(set(tokens) - {STAFF})
    drawn = wishes(seed, _popular(seed), names, rate=form.rate, seconds=form.seconds)
    return [replace(wish, twice=False) for wish in drawn]


def _strike_under_load(
    customers: Customers,
    wanted: Sequence[Any],
    servers: Servers,
    strike: Strike,
    form: Form,
    provider: Provider,
) -> str:
    load = Thread(target=customers.live, args=(wanted,), name="load")
    load.start()
    try:
        sleep(form.strike_at)
        strike(servers)
        said = _said(servers.stage, "after_restore", "reconcile_payments")
        if form.restart:
            servers.stage.restart()
    finally:
        load.join()
    return said


def _said(stage: Stage, *names: str) -> str:
    """By the commands of the runbook that there are, as an operator gives them when the other
    server is up."""
    there = _manage(stage, "help", "--commands").split()
    return "\n".join(
        _manage(stage, *words) for words in AFTERWARDS if words[0] in there and words[0] in names
    )


def _manage(stage: Stage, *words: str) -> str:
    settings = {
        "DATABASE_URL": stage.database,
        "SECRET_KEY": "only-for-chaos",
        "EVENTSTORE_WAKE_WORKERS": "0",
        "LOG_LEVEL": "ERROR",
    }
    settings = environment.STAND_INS | settings | stage.told
    command = [sys.executable, "-W", "ignore", "manage.py", *words]
    done = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=120
    )
    # What is logged as an error is the command's word, too.
    return done.stdout + done.stderr


def _ask(
    name: str,
    stage: Stage,
    shop: Any,
    customers: Customers,
    provider: Provider,
    said: str,
    orders: int,
    form: Form,
) -> Result:
    everything = dict(customers.log)
    settled = _checker(stage, shop, everything, []).settle(seconds=form.settle)
    book = provider.book()
    # Once more: who was in the middle of a call has come to its end.
    said += _said(stage, "reconcile_payments")
    lost = _checker(stage, shop, everything, book).lost()
    placed = _placed(stage.database)
    gone = {order_id for order_id, kept in _kept(book).items() if kept and order_id not in placed}
    named = set(UUID.findall(said))
    stretch = _lost_stretch(said)
    known = {
        key
        for key in lost
        if everything[key].order_id in named or _position(everything[key]) in stretch
    }
    unnamed = sorted(lost - known) + sorted(gone - named)
    surviving = {
        key: each for key, each in everything.items() if key not in lost and _survives(each, placed)
    }
    checker = _checker(stage, shop, surviving, [entry for entry in book if entry[2] in placed])
    violations = [*_unexplained(checker, named), *_charged_twice(book)]
    if unnamed:
        violations.append(Violation(UNNAMED, LOST, len(unnamed), unnamed[:5]))
    return Result(
        drill=name,
        orders=orders,
        acknowledged=sum(
            each.outcome == "acked" and each.kind == "place" for each in everything.values()
        ),
        lost=len(lost),
        named=len(lost) + len(gone) - len(unnamed),
        charges_of_none=len(gone),
        settled_after=settled,
        violations=_once(violations),
        seen=dict(customers.seen),
        said=said,
    )


def _unexplained(checker: Checker, named: set[str]) -> Iterator[Violation]:
    """What the checks find. A payment or refund of the lost period stays at the provider, although
    the log differs or has no request for it; such a row counts only if no command names it."""
    for check, counts_as, rows in checker.found():
        may_be_named = counts_as == MONEY or check == ASKED_FOR
        found = [row for row in rows if not (may_be_named and row in named)]
        if found:
            yield Violation(check, counts_as, len(found), found[:5])


def _lost_stretch(said: str) -> range:
    """Of positions: who has an answer with one of them knows that it is lost. Empty if no command
    has told it."""
    intact, anew = INTACT.search(said), ANEW.search(said)
    return range(int(intact[1]) + 1, int(anew[1]) + 1) if intact and anew else range(0)


def _position(asked: Asked) -> int:
    """Of the answer that its client has."""
    return int(json.loads(asked.answers[0])["position"])


def _checker(stage: Stage, shop: Any, log: Mapping[str, Asked], book: Sequence[Any]) -> Checker:
    return Checker(stage.database, stage.urls[0], shop["tokens"], STAFF, log, shop["stock"], book)


def _placed(database: str) -> set[str]:
    with psycopg.connect(database) as connection:
        found = connection.execute(
            "SELECT data->>'order_id' FROM eventstore_event WHERE type = 'orders.order_placed'"
        )
        return {order_id for (order_id,) in found}


def _survives(asked: Asked, placed: set[str]) -> bool:
    return not asked.order_id or asked.order_id in placed


def _kept(book: Sequence[Any]) -> Counter[str]:
    """What the provider has of each order. Of one whose money went back already, nobody has to be
    told."""
    kept: Counter[str] = Counter()
    for _, kind, order_id, moved in book:
        kept[order_id] += moved if kind == "charge" else -moved
    return kept


def _charged_twice(book: Sequence[Any]) -> list[Violation]:
    """Of all orders, those that are gone too."""
    charges = Counter(order_id for _, kind, order_id, moved in book if kind == "charge" and moved)
    twice = sorted(order_id for order_id, count in charges.items() if count > 1)
    return [Violation(CHARGED_TWICE, DOUBLED, len(twice), twice[:5])] if twice else []


def _once(violations: Sequence[Violation]) -> list[Violation]:
    return list({each.check: each for each in violations}.values())


def _keep(path: Path, kept: Path) -> None:
    kept.mkdir(parents=True, exist_ok=True)
    for log in path.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())


def said(result: Result) -> str:
    quiet = (
        "never quiet"
        if result.settled_after is None
        else f"quiet after {result.settled_after:.1f} s"
    )
    figures = ", ".join(
        f"{value} {name}" for name, value in result.figures.items() if name != "drill"
    )
    wrong = [f"  {v.counts_as}: {v.check}: {v.count} {list(v.examples)}" for v in result.violations]
    return "\n".join([f"{result.drill}: {figures}; {quiet}", *wrong])


def told(result: Result) -> dict[str, Any]:
    return asdict(result) | {"figures": result.figures, "passed": result.passed}
