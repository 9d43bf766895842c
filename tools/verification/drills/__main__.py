"""Lose the database under the running shop, each way once. The last line of output is one JSON
object."""

import json
import os
import sys
from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from time import time

from tools.devserver import environment
from tools.devserver.programs import ROOT
from tools.verification.drills import drill
from tools.verification.drills.drill import CHARGED_TWICE, DRILLS, Form

REPORTS = ROOT / ".chaos"
# What a control must show: each try of a charge under a key of its own.
CONTROL = "charge_without_key"


def main() -> int:
    arguments = _arguments()
    # It kills its servers: never any that somebody names.
    for name in (environment.DATABASE, environment.REDIS, environment.BROKER):
        os.environ.pop(name, None)
    results = []
    for name in arguments.drills:
        results.append(drill.run(name, arguments.seed, arguments.form, logs=arguments.reports))
        print(drill.said(results[-1]), flush=True)
    reds = {CONTROL: _control(arguments)} if arguments.control else {}
    _report(arguments, results)
    missed = [
        each.drill
        for each in results
        if not each.lost and "synchronous" not in each.drill.split("-")
    ]
    if missed:
        print(f"This run proves nothing, for nothing was lost in {', '.join(missed)}")
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


def _control(arguments: Namespace) -> bool:
    name = "asynchronous-failover"
    result = drill.run(name, arguments.seed, replace(arguments.form, settle=15), sabotage=CONTROL)
    red = any(each.check == CHARGED_TWICE for each in result.violations)
    print(f"{CONTROL}, {'seen' if red else 'NOT SEEN'}: {drill.said(result)}", flush=True)
    return red


def _report(arguments: Namespace, results: list[drill.Result]) -> None:
    arguments.reports.mkdir(parents=True, exist_ok=True)
    path = arguments.reports / f"drills-{arguments.seed}.json"
    path.write_text(json.dumps([drill.told(each) for each in results], indent=1))
    print(f"report: {path}")


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tools.verification.drills", description=__doc__)
    parser.add_argument(
        "--seed", type=int, default=int(os.environ.get("SEED") or int(time()) % 1_000_000)
    )
    parser.add_argument("--drills", nargs="+", choices=DRILLS, default=list(DRILLS), help="all")
    parser.add_argument(
        "--seconds", type=float, default=Form.seconds, help="of load in each (%(default)s)"
    )
    parser.add_argument(
        "--rate", type=float, default=Form.rate, help="orders a second (%(default)s)"
    )
    parser.add_argument(
        "--no-control", dest="control", action="store_false", help="without the mistake put in"
    )
    parser.add_argument("--reports", type=Path, default=REPORTS)
    arguments = parser.parse_args()
    arguments.form = Form(seconds=arguments.seconds, rate=arguments.rate)
    return arguments


if __name__ == "__main__":
    sys.exit(main())
