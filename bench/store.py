"""python -m bench.store: the store compared with the library `eventsourcing` and a bare INSERT; the
last line is JSON."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from statistics import median

from . import children, contenders, fill, report, servers
from .contenders import OFFLINE, OURS

SMALL = 10_000
# Events appended per round to a log of a given size: few, so that its size hardly changes.
FEW = 3000

Figures = Sequence[Mapping[str, float]]


def main() -> None:
    arguments = _arguments()
    children.raise_on_termination()
    print(report.machine(), end="\n\n", flush=True)
    with servers.database() as template:
        children.result_of("bench.template", environment=OFFLINE | {"DATABASE_URL": template})
        summary = _compare_with_peers(arguments, template)
        summary |= _depth(arguments, template)
        summary |= _size(arguments, template)
    print(json.dumps({name: round(value, 3) for name, value in summary.items()}))


def _compare_with_peers(arguments: Namespace, template: str) -> dict[str, float]:
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in contenders.LOG}
    for _ in range(arguments.rounds):
        for name, contender in contenders.LOG.items():
            figures[name].append(
                contenders.run(contender, str(arguments.events), template=template)
            )
    print(report.log(figures), end="\n\n", flush=True)
    ours, theirs = figures[OURS], figures["eventsourcing"]
    return {
        "append_1_vs_eventsourcing": _ratio(
            ours, theirs, lambda a, b: a["append_1_writer"] / b["append_1_writer"]
        ),
        "append_1_vs_insert": _ratio(
            ours, theirs, lambda a, b: a["append_1_writer"] / b["floor_insert"]
        ),
        "append_8_vs_eventsourcing": _ratio(
            ours, theirs, lambda a, b: a["append_8_writers"] / b["append_8_writers"]
        ),
        "load_1001_vs_eventsourcing": _ratio(
            ours, theirs, lambda a, b: b["load_1001_events_ms"] / a["load_1001_events_ms"]
        ),
        "log_read_vs_eventsourcing": _ratio(
            ours, theirs, lambda a, b: a["log_read_events"] / b["log_read_events"]
        ),
    }


def _depth(arguments: Namespace, template: str) -> dict[str, float]:
    with servers.database(like=template) as url:
        figures = children.result_of(
            "bench.depth", str(arguments.long), environment=OFFLINE | {"DATABASE_URL": url}
        )
    short, long = figures["load_1k_ms"], figures["load_long_ms"]
    print(
        f"load with a snapshot: {short:.2f} ms of 1,000 events, {long:.2f} ms of"
        f" {arguments.long:,}\n",
        flush=True,
    )
    return {"load_100k_vs_1k_with_snapshot": long / short}


def _size(arguments: Namespace, template: str) -> dict[str, float]:
    with ExitStack() as stack:
        small, large = (stack.enter_context(servers.database(like=template)) for _ in range(2))
        fill.fill(small, events=SMALL)
        rebuilt = fill.fill(large, events=arguments.rebuild)
        summary = children.result_of(
            "bench.rebuild", "3", environment=OFFLINE | {"DATABASE_URL": large}
        )
        print(
            f"order details rebuilt from {rebuilt:,} events: {summary['rebuild_events_per_s']:,.0f}"
            f" events/s, {summary['rebuild_share_of_copy']:.2f} of the speed of COPY",
            flush=True,
        )
        filled = fill.fill(large, events=arguments.large)
        rates = [
            (_append_rate(arguments, small), _append_rate(arguments, large))
            for _ in range(arguments.rounds)
        ]
        cost = median(of_small / of_large for of_small, of_large in rates)
        print(
            f"an append with {filled:,} events in the log costs {cost:.2f} of one with {SMALL:,}\n",
            flush=True,
        )
    return summary | {"append_2m_vs_10k": cost}


def _append_rate(arguments: Namespace, url: str) -> float:
    few = str(min(arguments.events, FEW))
    figures = children.result_of(
        "bench.appending", few, environment=OFFLINE | {"DATABASE_URL": url}
    )
    return float(figures["append_1_writer"])


def _ratio(
    ours: Figures, theirs: Figures, of: Callable[[Mapping[str, float], Mapping[str, float]], float]
) -> float:
    """The median of the ratios of each round, so that a drift of the machine cancels out."""
    return median(of(mine, other) for mine, other in zip(ours, theirs, strict=True))


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench.store", description=__doc__)
    parser.add_argument(
        "--events", type=int, default=6000, help="appended per number of writers (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument(
        "--long", type=int, default=100_000, help="events of the long stream (%(default)s)"
    )
    parser.add_argument(
        "--rebuild", type=int, default=500_000, help="events to rebuild from (%(default)s)"
    )
    parser.add_argument(
        "--large", type=int, default=2_000_000, help="events of a large log (%(default)s)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
