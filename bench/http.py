"""python -m bench.http: place and query orders over HTTP, in turns with bare DRF; the last line is
JSON."""

import json
from argparse import ArgumentParser
from collections.abc import Mapping, Sequence
from statistics import median

from . import children, contenders, report, servers
from .contenders import Contender

Figures = Mapping[str, float]

OURS = Contender(
    "bench.ours_http", "ours: token, idempotency key, outbox, price check", prepared=True
)
BARE = Contender("bench.drf", "bare DRF: no token, no key, no events")


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.http", description=__doc__)
    parser.add_argument("--seconds", type=int, default=3, help="per view and round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=7, help="(%(default)s)")
    parser.add_argument("--sockets", type=int, default=500, help="(%(default)s)")
    given = parser.parse_args()
    children.raise_on_termination()
    print(report.machine(), end="\n\n", flush=True)
    ours, bare = list[Figures](), list[Figures]()
    with servers.database() as template:
        children.result_of(
            "bench.template", environment=contenders.OFFLINE | {"DATABASE_URL": template}
        )
        for _ in range(given.rounds):
            ours.append(
                contenders.run(OURS, str(given.seconds), str(given.sockets), template=template)
            )
            bare.append(contenders.run(BARE, str(given.seconds), template=template))
    _print_figures(
        [(ours, "place"), (bare, "insert"), (bare, "crud"), (ours, "query"), (bare, "retrieve")]
    )
    _print_ratios(ours, bare, [("place", "insert"), ("place", "crud"), ("query", "retrieve")])
    summary = {
        "place_per_s": median(each["place_per_s"] for each in ours),
        "place_vs_bare": median(_ratios(ours, "place_per_s", bare, "insert_per_s")),
        "place_p99_ms": median(each["place_p99_ms"] for each in ours),
        "query_per_s": median(each["query_per_s"] for each in ours),
        "query_vs_bare": median(_ratios(ours, "query_per_s", bare, "retrieve_per_s")),
        "ws_lag_p99_ms": median(each["ws_lag_p99_ms"] for each in ours),
    }
    print(json.dumps({name: round(value, 2) for name, value in summary.items()}))


def _print_figures(rows: Sequence[tuple[Sequence[Figures], str]]) -> None:
    print(f"{'':10}{'per s':>8}{'p99 ms':>9}{'CPU us':>8}  rounds")
    for found, name in rows:
        rates = [each[f"{name}_per_s"] for each in found]
        p99, cpu = (
            median(each[f"{name}_{what}"] for each in found) for what in ("p99_ms", "cpu_us")
        )
        print(
            f"{name:10}{median(rates):>8.0f}{p99:>9.1f}{cpu:>8.0f} "
            f" {' '.join(f'{rate:.0f}' for rate in rates)}"
        )


def _print_ratios(
    ours: Sequence[Figures], bare: Sequence[Figures], pairs: Sequence[tuple[str, str]]
) -> None:
    """CPU: theirs / ours, so that more is better in both columns."""
    print(f"\n{'':18}{'per s':>8}{'CPU':>8}  rounds")
    for mine, theirs in pairs:
        rates = _ratios(ours, f"{mine}_per_s", bare, f"{theirs}_per_s")
        cpu = median(_ratios(bare, f"{theirs}_cpu_us", ours, f"{mine}_cpu_us"))
        rounds = " ".join(f"{each:.2f}" for each in rates)
        print(f"{f'{mine} / {theirs}':18}{median(rates):>8.2f}{cpu:>8.2f}  {rounds}")
    print()


def _ratios(
    some: Sequence[Figures], mine: str, others: Sequence[Figures], theirs: str
) -> list[float]:
    """Within each round, so that a drift of the machine cancels out."""
    return [one[mine] / other[theirs] for one, other in zip(some, others, strict=True)]


if __name__ == "__main__":
    main()
