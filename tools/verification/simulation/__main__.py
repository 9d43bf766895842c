"""python -m tools.verification.simulation: live through many seeds; one that fails says how to see
it again."""

import os
import sys
import time
from argparse import ArgumentParser, Namespace
from collections import Counter

import django


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SECRET_KEY", "only-for-tests")
    django.setup()
    return _simulate(_arguments())


def _simulate(arguments: Namespace) -> int:
    # Not before Django is set up: the wiring is read as it is imported.
    from tools.verification.simulation.lives import PROCESSES

    start, failed, heard = time.perf_counter(), 0, Counter[str]()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        said = _lives(arguments.process or list(PROCESSES)[seed % len(PROCESSES)], seed)
        failed += said is None
        heard.update(said or {})
    seconds = time.perf_counter() - start
    print(
        f"{len(heard)} kinds of commands and facts, {heard.total()} in all, of each at least"
        f" {min(heard.values())}"
    )
    print(
        f"{arguments.seeds} seeds in {seconds:.1f} s ({arguments.seeds / seconds:.0f}/s), {failed}"
        " failed"
    )
    return 1 if failed else 0


def _lives(process: str, seed: int) -> "Counter[str] | None":
    """What was said in it; None when it failed."""
    from tools.verification.simulation.lives import live

    try:
        return live(process, seed).said
    except AssertionError as error:
        print(f"seed {seed}: {error}")
        print(
            f"  again: python -m tools.verification.simulation --from {seed} --seeds 1 --process"
            f" {process}"
        )
        return None


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tools.verification.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--process", choices=("orchestration", "choreography"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
