"""Inject random faults under load, then check the result from outside. The last line of output is
one JSON object."""

import os
import shutil
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from time import time

from tools.devserver import environment, folder, programs, services
from tools.verification import bouncer
from tools.verification.chaos import plan, report
from tools.verification.chaos.controls import DECKS, control
from tools.verification.chaos.proxy import Network
from tools.verification.chaos.run import MUST_HIT, Options, Result, run
from tools.verification.chaos.stage import Stage

# Added to the deck of faults.
BEHIND_A_POOLER = {"kill_pooler": 2, "pause_subscription": 2}
REPORTS = programs.ROOT / ".chaos"


def main() -> int:
    arguments = _arguments()
    # The run kills its servers, so it never uses those of the environment.
    for name in (environment.DATABASE, environment.REDIS, environment.BROKER):
        os.environ.pop(name, None)
    network = Network()
    with folder.throwaway() as path, services.started(path) as found:
        stage = Stage(path, found.running, found.settings, network, arguments.pooler)
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
    result = run(stage, seed, _options(arguments))
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
    deck = dict.fromkeys(arguments.only, 1) if arguments.only else plan.DECK
    if arguments.pooler and not arguments.only:
        deck = deck | BEHIND_A_POOLER
    gap = (arguments.gap, arguments.gap + 2)
    return Options(
        arguments.seconds,
        arguments.rate,
        gap,
        deck=deck,
        must_hit=() if arguments.only else MUST_HIT,
    )


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
    parser.add_argument(
        "--only", nargs="+", choices=[*plan.DECK, *BEHIND_A_POOLER], help="only these faults (all)"
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
        "--controls",
        nargs="*",
        choices=DECKS,
        default=list(DECKS),
        help="deliberate mistakes to run with (all)",
    )
    parser.add_argument(
        "--control-seconds", type=float, default=12, help="seconds of each control (%(default)s)"
    )
    parser.add_argument("--reports", type=Path, default=REPORTS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
