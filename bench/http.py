"""python -m bench.http: orders placed and asked for over HTTP, beside bare DRF in turns; the last line is JSON."""

import json
from argparse import ArgumentParser
from statistics import median

from . import children, contenders, report, servers
from .contenders import Contender

OURS = Contender("bench.ours_http", "ours: token, idempotency key, outbox, price check", prepared=True)
BARE = Contender("bench.drf", "bare DRF: no token, no key, no events")


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.http", description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="of each view in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--sockets", type=int, default=500, help="(%(default)s)")
    given = parser.parse_args()
    children.raise_on_termination()
    print(report.machine(), end="\n\n", flush=True)
    ours, bare = [], []
    with servers.database() as template:
        children.result_of("bench.template", environment=contenders.OFFLINE | {"DATABASE_URL": template})
        for _ in range(given.rounds):
            ours.append(contenders.run(OURS, str(given.seconds), str(given.sockets), template=template))
            bare.append(contenders.run(BARE, str(given.seconds), template=template))
    rows = [(ours, "place"), (bare, "insert"), (bare, "crud"), (ours, "query"), (bare, "retrieve")]
    print(f"{'':10}{'per s':>8}{'p99 ms':>9}{'CPU us':>8}  rounds")
    for found, name in rows:
        rates = [each[f"{name}_per_s"] for each in found]
        p99, cpu = (median(each[f"{name}_{what}"] for each in found) for what in ("p99_ms", "cpu_us"))
        print(f"{name:10}{median(rates):>8.0f}{p99:>9.1f}{cpu:>8.0f}  {' '.join(f'{rate:.0f}' for rate in rates)}")
    summary = {
        "place_per_s": median(each["place_per_s"] for each in ours),
        "place_vs_bare": _ratio(ours, "place_per_s", bare, "insert_per_s"),
        "place_vs_crud": _ratio(ours, "place_per_s", bare, "crud_per_s"),
        "place_p99_ms": median(each["place_p99_ms"] for each in ours),
        "query_per_s": median(each["query_per_s"] for each in ours),
        "query_vs_bare": _ratio(ours, "query_per_s", bare, "retrieve_per_s"),
        "ws_lag_p99_ms": median(each["ws_lag_p99_ms"] for each in ours),
    }
    print(json.dumps({name: round(value, 2) for name, value in summary.items()}))


def _ratio(ours, mine: str, bare, theirs: str) -> float:
    """In each round, then the median: a machine that drifts does so for both."""
    return median(one[mine] / other[theirs] for one, other in zip(ours, bare, strict=True))


if __name__ == "__main__":
    main()
