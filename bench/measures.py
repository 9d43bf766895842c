"""The measurements of `make bench`: each prints its figures and returns its part of the summary."""

import sys
from argparse import Namespace
from collections.abc import Mapping
from statistics import median

from . import contenders, fill, report, servers
from .contenders import OURS, Contender

SMALL = 10_000
SPENT = ("cpu_ms_per_order", "wal_kb_per_order")


def orders(arguments: Namespace, template: str) -> dict[str, float]:
    table = {name: contenders.ORDERS[name] for name in arguments.contenders or contenders.ORDERS}
    rates: dict[str, list[float]] = {name: [] for name in table}
    spent: list[Mapping[str, float]] = []
    for _ in range(arguments.rounds):
        for name, contender in table.items():
            figures = contenders.run(
                contender, str(arguments.orders), *contender.given, template=template
            )
            rates[name].append(figures["orders_per_s"])
            if name == OURS:
                spent.append(figures)
            _print_progress(name, figures)
    print(f"{arguments.orders} orders, placed one by one, until the last is confirmed", flush=True)
    print(report.orders(rates, table), end="\n\n", flush=True)
    if OURS not in rates:
        return {}
    others = {
        f"vs_{name}": report.ratio_of(rates, name)
        for name in rates
        if not contenders.ORDERS[name].prepared
    }
    summary = {"orders_per_s": median(rates[OURS])} | others
    summary |= {name: median(each[name] for each in spent) for name in SPENT}
    for name, workers in ((contenders.OURS_BY_TWO, 2), (contenders.OURS_BY_FOUR, 4)):
        if name in rates:
            summary[f"workers_{workers}"] = 1 / report.ratio_of(rates, name)
    return summary


def lone(arguments: Namespace, template: str) -> dict[str, float]:
    figures = contenders.run(
        Contender("bench.lone", "", prepared=True), str(arguments.lone), template=template
    )
    _print(
        f"{arguments.lone} lone orders, from POST to the query that says CONFIRMED:"
        f" p50 {figures['lone_p50_ms']:.1f} ms, p99 {figures['lone_p99_ms']:.1f} ms"
    )
    return figures


def crowd(arguments: Namespace, template: str) -> dict[str, float]:
    """Twice as many buyers as units: of one product, and of a hundred."""
    buyers, units = arguments.crowd, arguments.crowd // 2
    products = min(100, units)
    contender = Contender("bench.crowd", "", prepared=True)
    ratios, hot_rates = [], []
    for _ in range(arguments.crowd_rounds):
        hot = contenders.run(contender, str(buyers), "1", str(units), template=template)
        spread = contenders.run(
            contender, str(buyers), str(products), str(units // products), template=template
        )
        ratios.append(hot["orders_per_s"] / spread["orders_per_s"])
        hot_rates.append(hot["orders_per_s"])
    _print(
        f"{buyers} concurrent buyers for {units} units: {units} confirmed, no conflicts; of one"
        f" product {median(hot_rates):.0f} orders/s, {median(ratios):.2f} of the rate over"
        f" {products} products"
    )
    return {"hot_product_vs_spread": median(ratios)}


def importing(arguments: Namespace, template: str) -> dict[str, float]:
    contender = Contender("bench.importing", "", prepared=True)
    figures = contenders.run(contender, str(arguments.import_lines), template=template)
    _print(
        f"import: {figures['orders']:,.0f} past orders in {figures['seconds']:.0f} s,"
        f" {figures['import_orders_per_s']:.0f} orders/s"
    )
    return {"import_orders_per_s": figures["import_orders_per_s"]}


def size(arguments: Namespace, template: str) -> dict[str, float]:
    """In turns on a small log and on a large one, so that a drift of the machine cancels out."""
    contender, costs = contenders.ORDERS[OURS], []
    with servers.database(like=template) as small, servers.database(like=template) as large:
        few, many = fill.fill(small, events=SMALL), fill.fill(large, events=arguments.large)
        for _ in range(arguments.rounds):
            rates = [
                contenders.run_on(url, contender, str(arguments.orders)) for url in (small, large)
            ]
            costs.append(rates[0]["orders_per_s"] / rates[1]["orders_per_s"])
    _print(
        f"an order with {many:,} events in the log costs {median(costs):.2f} of one with {few:,}"
    )
    return {"full_vs_empty": median(costs)}


def _print(sentence: str) -> None:
    print(sentence, end="\n\n", flush=True)


def _print_progress(name: str, figures: Mapping[str, float]) -> None:
    if sys.stderr.isatty():
        rest = ", ".join(f"{key} {value:.0f}" for key, value in figures.items())
        print(f"  {name}: {rest}", file=sys.stderr, flush=True)
