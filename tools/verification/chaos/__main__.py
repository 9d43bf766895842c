"""Inject random faults under load, then check the result from outside. The last line of output is
one JSON object."""

import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from collections import Counter
from dataclasses import replace
from pathlib import Path
from time import time

from tools.devserver import environment, folder, programs, services
from tools.verification import bouncer
from tools.verification.chaos import brokers, capture, plan, report
from tools.verification.chaos.broker_checks import CAPTURED
from tools.verification.chaos.broker_nemesis import BROKER_DECK, CAPTURE_DECK, BrokerNemesis
from tools.verification.chaos.brokers import Brokers
from tools.verification.chaos.controls import AT_BROKERS, AT_CAPTURE, DECKS, control
from tools.verification.chaos.nemesis import Nemesis
from tools.verification.chaos.proxy import Network
from tools.verification.chaos.run import MUST_HIT, Options, Result, run
from tools.verification.chaos.stage import Stage

# Added to the deck of faults.
BEHIND_A_POOLER = {"kill_pooler": 2, "pause_subscription": 2}
SERVERS = (
    environment.DATABASE,
    environment.REDIS,
    environment.BROKER,
    environment.KAFKA,
    environment.RABBITMQ,
    environment.CONNECT,
    environment.CDC_SLOT,
)
REPORTS = programs.ROOT / ".chaos"
# Leases of relays, transactions of Kafka and rests of readers come after everything else.
SETTLE_WITH_BROKERS_SECONDS = 240.0


def main() -> int:
    arguments = _arguments()
    if arguments.brokers:
        if absent := brokers.missing() or (arguments.cdc and capture.missing()):
            print(f"Not run: {absent}")
            return 1
        os.environ["DJANGO_SETTINGS_MODULE"] = brokers.SETTINGS_MODULE
    # The run kills its servers, so it never uses those of the environment.
    for name in SERVERS:
        os.environ.pop(name, None)
    network = Network()
    with folder.throwaway() as path, services.started(path) as found:
        both = (
            Brokers(path, found.running, network, with_capture=arguments.cdc)
            if arguments.brokers
            else None
        )
        stage = Stage(path, found.running, found.settings, network, arguments.pooler, brokers=both)
        try:
            return _run(stage, arguments)
        finally:
            stage.keeper.close()
            network.close()


def _run(stage: Stage, arguments: Namespace) -> int:
    seed = arguments.seed
    print(
        f"seed {seed}; clocks"
        f" {'jump' if stage.clock.library else 'do not jump: libfaketime is not installed'}",
        flush=True,
    )
    if arguments.pooler:
        print(f"behind PgBouncer, {arguments.pooler}: {bouncer.binary()}", flush=True)
    by = BrokerNemesis if arguments.brokers else Nemesis
    result = run(stage, seed, _options(arguments), by=by)
    print(report.summary("chaos", result), flush=True)
    controls: dict[str, tuple[bool, Result]] = {}
    for mistake in arguments.controls:
        options = Options(arguments.control_seconds, arguments.rate, (1.5, 2.5), settle=6.0)
        controls[mistake] = red, found = control(stage, seed, mistake, options)
        print(report.summary(f"{mistake}, {'found' if red else 'NOT FOUND'}", found), flush=True)
    print(f"report: {report.write(arguments.reports, result, controls)}")
    if not result.passed:
        print(f"logs: {_keep_logs(stage.path, arguments.reports / f'logs-{seed}')}")
    if result.missed:
        print(f"The run proves nothing: these had no effect: {', '.join(result.missed)}")
    reds = {name: red for name, (red, _) in controls.items()}
    print(report.line(result, reds), flush=True)
    return 0 if result.passed and not result.missed and all(reds.values()) else 1


def _options(arguments: Namespace) -> Options:
    deck = dict(Counter(arguments.only)) if arguments.only else plan.DECK
    if arguments.pooler and not arguments.only:
        deck = deck | BEHIND_A_POOLER
    if arguments.brokers and not arguments.only:
        deck = deck | BROKER_DECK
    if arguments.cdc and not arguments.only:
        deck = deck | CAPTURE_DECK
    gap = (arguments.gap, arguments.gap + 2)
    must_hit = (*MUST_HIT, "killed_while_publishing") if arguments.brokers else MUST_HIT
    captured = (CAPTURED,) if arguments.cdc else ()
    options = Options(
        arguments.seconds,
        arguments.rate,
        gap,
        deck=deck,
        brokers=arguments.brokers,
        capture=arguments.cdc,
        must_hit=(*(() if arguments.only else must_hit), *captured),
    )
    if arguments.brokers:
        return replace(options, settle=SETTLE_WITH_BROKERS_SECONDS)
    return options


def _keep_logs(path: Path, kept: Path) -> Path:
    kept.mkdir(parents=True, exist_ok=True)
    for log in (*path.glob("*.log"), *path.glob("*.jsonl")):
        shutil.copy(log, kept)
    return kept


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tools.verification.chaos", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("SEED") or int(time()) % 1_000_000)
    )
    parser.add_argument(
        "--seconds", type=float, default=200, help="seconds of load and faults (%(default)s)"
    )
    parser.add_argument("--rate", type=float, default=12, help="orders a second (%(default)s)")
    parser.add_argument(
        "--gap", type=float, default=2.5, help="minimum seconds between two faults (%(default)s)"
    )
    faults = [*plan.DECK, *BEHIND_A_POOLER, *BROKER_DECK, *CAPTURE_DECK]
    parser.add_argument(
        "--only", nargs="+", choices=faults, help="only these faults, each so often (all)"
    )
    pooler = bouncer.OLD if os.environ.get("POOLER") == "1" else os.environ.get("POOLER", "")
    forms = ("", bouncer.OLD, bouncer.NEW)
    parser.add_argument(
        "--pooler",
        choices=forms,
        default=pooler,
        help="put PgBouncer in front of PostgreSQL (none)",
    )
    parser.add_argument(
        "--brokers",
        action="store_true",
        default=os.environ.get("BROKERS") == "1",
        help="with Kafka, RabbitMQ, relays to both and consumers of both (without)",
    )
    parser.add_argument(
        "--cdc",
        action="store_true",
        default=os.environ.get("CDC") == "1",
        help="with the brokers, and everything leaves for Kafka by Debezium (without)",
    )
    parser.add_argument(
        "--controls",
        nargs="*",
        choices=DECKS,
        help="deliberate mistakes to run with (all)",
    )
    parser.add_argument(
        "--control-seconds", type=float, default=12, help="seconds of each control (%(default)s)"
    )
    parser.add_argument("--reports", type=Path, default=REPORTS)
    arguments = parser.parse_args()
    arguments.brokers = arguments.brokers or arguments.cdc
    if arguments.controls is None:
        without = AT_CAPTURE if arguments.brokers else AT_BROKERS
        without = () if arguments.cdc else without
        arguments.controls = [each for each in DECKS if each not in without]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
