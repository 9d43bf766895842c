"""python -m bench: ours and its peers in turns on the same servers; the last line is JSON."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any

from . import children, contenders, report, servers
from .contenders import OURS, Contender

# As in production, but for the log, of which only errors are wanted.
OURS_READ = {"DJANGO_SETTINGS_MODULE": "config.settings", "SECRET_KEY": "only-for-benchmarks", "LOG_LEVEL": "ERROR"}
WITHOUT_BROKER = {"EVENTSTORE_NUDGE": "0"}


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
        children.result_of("bench.template", environment=OURS_READ | WITHOUT_BROKER | {"DATABASE_URL": template})
        summary = _orders(arguments, template)
        if arguments.lone:
            summary |= _lone(arguments, template)
        if arguments.events:
            _log(arguments, template)
    print(json.dumps({name: round(value, 2) for name, value in summary.items()}))


def _orders(arguments: Namespace, template: str) -> dict[str, float]:
    table = {name: contenders.ORDERS[name] for name in arguments.contenders or contenders.ORDERS}
    rates: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(arguments.rounds):
        for name, contender in table.items():
            workers = [str(arguments.workers)] if name == OURS else []
            figures = _run(contender, str(arguments.orders), *workers, template=template)
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
    figures = _run(contender, str(arguments.lone), str(arguments.workers), template=template)
    print(
        f"{arguments.lone} lone orders, from POST to the query that says CONFIRMED:"
        f" p50 {figures['lone_p50_ms']:.1f} ms, p99 {figures['lone_p99_ms']:.1f} ms",
        end="\n\n",
        flush=True,
    )
    return figures


def _log(arguments: Namespace, template: str) -> None:
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in contenders.LOG}
    for _ in range(arguments.rounds):
        for name, contender in contenders.LOG.items():
            figures[name].append(_run(contender, str(arguments.events), template=template))
    print(report.log(figures), end="\n\n", flush=True)


def _run(contender: Contender, *given: str, template: str) -> dict[str, Any]:
    with ExitStack() as stack:
        like = template if contender.prepared else "template0"
        urls = {
            "DATABASE_URL": stack.enter_context(servers.database(like=like)),
            "REDIS_URL": (redis_url := stack.enter_context(servers.broker())),
            "CELERY_BROKER_URL": redis_url,
        }
        return children.result_of(
            contender.module, *given, environment=urls | (OURS_READ if contender.prepared else {})
        )


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
    parser.add_argument("--events", type=int, default=2000, help="appended by each writer count; 0: none (%(default)s)")
    arguments = parser.parse_args()
    if unknown := set(arguments.contenders) - set(contenders.ORDERS):
        parser.error(f"no such contender: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
