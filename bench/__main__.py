"""python -m bench: ours and its peers in turns on the same servers; the last line is JSON."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from statistics import median

from . import children, contenders, report, servers
from .contenders import OURS, Contender


def main() -> None:
    arguments = _arguments()
    children.raise_on_termination()
    try:
        _bench(arguments)
    except KeyboardInterrupt:
        sys.exit(130)


def _bench(arguments: Namespace) -> None:
    print(report.machine(), end="\n\n", flush=True)
    with servers.database() as template:
        children.result_of("bench.template", environment=contenders.OFFLINE | {"DATABASE_URL": template})
        summary = _orders(arguments, template)
        if arguments.lone:
            summary |= _lone(arguments, template)
    print(json.dumps({name: round(value, 2) for name, value in summary.items()}))


def _orders(arguments: Namespace, template: str) -> dict[str, float]:
    table = {name: contenders.ORDERS[name] for name in arguments.contenders or contenders.ORDERS}
    rates: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(arguments.rounds):
        for name, contender in table.items():
            workers = [str(arguments.workers)] if name == OURS else []
            figures = contenders.run(contender, str(arguments.orders), *workers, template=template)
            rates[name].append(figures["orders_per_s"])
            _progress(name, figures)
    print(f"{arguments.orders} orders, placed one by one, until the last one is confirmed", flush=True)
    print(report.orders(rates, table), end="\n\n", flush=True)
    if OURS not in rates:
        return {}
    others = {f"vs_{name}": report.ratio_of(rates, name) for name in rates if name != OURS}
    return {"orders_per_s": median(rates[OURS]), **others}


def _lone(arguments: Namespace, template: str) -> dict[str, float]:
    contender = Contender("bench.lone", "", prepared=True)
    figures = contenders.run(contender, str(arguments.lone), str(arguments.workers), template=template)
    print(
        f"{arguments.lone} lone orders, from POST to the query that says CONFIRMED:"
        f" p50 {figures['lone_p50_ms']:.1f} ms, p99 {figures['lone_p99_ms']:.1f} ms",
        end="\n\n",
        flush=True,
    )
    return figures


def _progress(name: str, figures: Mapping[str, float]) -> None:
    if sys.stderr.isatty():
        rest = ", ".join(f"{key} {value:.0f}" for key, value in figures.items())
        print(f"  {name}: {rest}", file=sys.stderr, flush=True)


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("contenders", nargs="*", metavar="CONTENDER", help=f"of {', '.join(contenders.ORDERS)}; all")
    parser.add_argument("--orders", type=int, default=1500, help="of each contender in each round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--workers", type=int, default=1, help="processes of our Celery worker (%(default)s)")
    parser.add_argument("--lone", type=int, default=30, help="orders one after another; 0: none (%(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.contenders) - set(contenders.ORDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
