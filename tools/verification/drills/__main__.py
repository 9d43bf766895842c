"""Fail over or restore the database under load, once in each way. The last line of output is one
JSON object."""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from time import time

from tools.devserver import environment
from tools.devserver.programs import ROOT
from tools.verification.chaos.brokers import SETTINGS_MODULE
from tools.verification.drills import capture, drill
from tools.verification.drills.drill import CHARGED_TWICE, DRILLS, Options

REPORTS = ROOT / ".chaos"
# The deliberate mistake: a new idempotency key for each try of a charge.
CONTROL = "charge_without_key"


def main() -> int:
    arguments = _arguments()
    # The drills kill their servers, so they never use those of the environment.
    for name in (environment.DATABASE, environment.REDIS, environment.BROKER):
        os.environ.pop(name, None)
    if arguments.cdc:
        return _captured(arguments)
    results = []
    for name in arguments.drills:
        results.append(drill.run(name, arguments.seed, arguments.options, logs=arguments.reports))
        print(drill.summary(results[-1]), flush=True)
    reds = {CONTROL: _control(arguments)} if arguments.control else {}
    _report(arguments, results)
    missed = [
        each.drill
        for each in results
        if not each.lost and "synchronous" not in each.drill.split("-")
    ]
    if missed:
        print(f"The run proves nothing: nothing was lost in {', '.join(missed)}")
    print(
        json.dumps(
            {
                "seed": arguments.seed,
                "drills": [each.figures for each in results],
                "controls_red": reds,
            }
        )
    )
    return 0 if all(each.passed for each in results) and all(reds.values()) and not missed else 1


def _captured(arguments: Namespace) -> int:
    """The failovers with Debezium, in place of the others."""
    if absent := capture.missing():
        print(f"Not run: {absent}")
        return 1
    os.environ["DJANGO_SETTINGS_MODULE"] = SETTINGS_MODULE
    for name in (environment.KAFKA, environment.RABBITMQ, environment.CONNECT):
        os.environ.pop(name, None)
    results = []
    for name in arguments.cdc_drills:
        results.append(found := capture.run(name, arguments.seed, arguments.options))
        print(f"{name}: {found.figures}", flush=True)
        print("\n".join(f"  refused: {each}" for each in found.refused))
        print("\n".join(f"  {each}" for each in found.violations))
    figures = [each.figures for each in results]
    print(json.dumps({"seed": arguments.seed, "drills": figures}))
    return 0 if all(each.passed for each in results) else 1


def _control(arguments: Namespace) -> bool:
    name = "asynchronous-failover"
    result = drill.run(
        name, arguments.seed, replace(arguments.options, settle=15), sabotage=CONTROL
    )
    red = any(each.check == CHARGED_TWICE for each in result.violations)
    print(f"{CONTROL}, {'found' if red else 'NOT FOUND'}: {drill.summary(result)}", flush=True)
    return red


def _report(arguments: Namespace, results: list[drill.Result]) -> None:
    arguments.reports.mkdir(parents=True, exist_ok=True)
    path = arguments.reports / f"drills-{arguments.seed}.json"
    path.write_text(json.dumps([drill.as_json(each) for each in results], indent=1))
    print(f"report: {path}")


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tools.verification.drills", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("SEED") or int(time()) % 1_000_000)
    )
    parser.add_argument("--drills", nargs="+", choices=DRILLS, default=list(DRILLS), help="all")
    parser.add_argument(
        "--cdc",
        action="store_true",
        default=os.environ.get("CDC") == "1",
        help="in place of them the failovers while everything leaves for Kafka by Debezium",
    )
    parser.add_argument(
        "--cdc-drills", nargs="+", choices=capture.DRILLS, default=list(capture.DRILLS), help="all"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=Options.seconds,
        help="seconds of load in each (%(default)s)",
    )
    parser.add_argument(
        "--rate", type=float, default=Options.rate, help="orders a second (%(default)s)"
    )
    parser.add_argument(
        "--no-control",
        dest="control",
        action="store_false",
        help="skip the run with a deliberate mistake",
    )
    parser.add_argument("--reports", type=Path, default=REPORTS)
    arguments = parser.parse_args()
    arguments.options = Options(seconds=arguments.seconds, rate=arguments.rate)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
