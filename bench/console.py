"""python -m bench.console: time each page of the console with millions of events in the log; the
last line is JSON."""

import json
from argparse import ArgumentParser
from statistics import median

from . import children, contenders, fill, report, servers

LIMIT_MS = 300


def main() -> None:
    parser = ArgumentParser(prog="python -m bench.console", description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000, help="(%(default)s)")
    parser.add_argument("--times", type=int, default=5, help="requests for each page (%(default)s)")
    given = parser.parse_args()
    children.raise_on_termination()
    print(report.machine(), end="\n\n", flush=True)
    with servers.database() as url:
        environment = contenders.OFFLINE | {"DATABASE_URL": url}
        children.result_of("bench.template", environment=environment)
        children.result_of("bench.one_of_each", environment=environment)
        events = fill.fill(url, events=given.events)
        orders = given.events // fill.EVENTS_OF_AN_ORDER
        fill.fill_tables(
            url, orders=orders, messages=min(given.events, 200_000), troubles=min(orders, 5_000)
        )
        print(
            f"{events:,} events, {orders:,} orders; ms to the first byte, median and slowest of"
            f" {given.times}\n"
        )
        found = children.result_of("bench.console_pages", str(given.times), environment=environment)
    medians = {name: median(each) for name, each in found.items()}
    for name in sorted(medians, key=lambda each: -medians[each]):
        print(f"{name:58}{medians[name]:>9.0f}{max(found[name]):>9.0f}")
    slow = sum(each >= LIMIT_MS for each in medians.values())
    summary = {
        "events": events,
        "pages": len(medians),
        "slowest_ms": max(medians.values()),
        "over_300_ms": slow,
    }
    print(json.dumps({name: round(value, 1) for name, value in summary.items()}))


if __name__ == "__main__":
    main()
