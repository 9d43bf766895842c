"""python -m tools.verification.simulation: simulate many seeds; prints how to repeat one that
fails."""

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
    # Only after Django's setup: the import reads the wiring.
    from tools.verification.simulation.lives import PROCESSES

    arguments = _arguments()
    start, failed, accepted = time.perf_counter(), 0, Counter[str]()
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        counts = _simulate(arguments.process or list(PROCESSES)[seed % len(PROCESSES)], seed)
        failed += counts is None
        accepted.update(counts or {})
    seconds = time.perf_counter() - start
    print(
        f"{len(accepted)} kinds of commands and facts, {accepted.total()} in total, at least"
        f" {min(accepted.values())} of each"
    )
    print(
        f"{arguments.seeds} seeds in {seconds:.1f} s ({arguments.seeds / seconds:.0f}/s), {failed}"
        " failed"
    )
    return 1 if failed else 0


def _simulate(process: str, seed: int) -> "Counter[str] | None":
    """Counts of the accepted commands and facts; None for a failed seed."""
    from tools.verification.simulation.lives import live

    try:
        return live(process, seed).accepted
    except AssertionError as error:
        print(f"seed {seed}: {error}")
        print(
            f"  repeat: python -m tools.verification.simulation --from {seed} --seeds 1 --process"
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
