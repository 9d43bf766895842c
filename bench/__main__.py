"""python -m bench: run ours and its peers in turns on the same servers; the last line is JSON."""

import json
import sys
from argparse import ArgumentParser, Namespace

from . import children, contenders, measures, report, servers


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
        children.result_of(
            "bench.template", environment=contenders.OFFLINE | {"DATABASE_URL": template}
        )
        summary = measures.orders(arguments, template)
        if not arguments.contenders:
            for measure in (measures.lone, measures.crowd, measures.importing, measures.size):
                summary |= measure(arguments, template)
    print(json.dumps({name: round(value, 2) for name, value in summary.items()}))


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "contenders",
        nargs="*",
        metavar="CONTENDER",
        help=(
            f"measure only orders/s of {', '.join(contenders.ORDERS)}; default: all of them and all"
            " other figures"
        ),
    )
    parser.add_argument(
        "--orders", type=int, default=1500, help="per contender and round (%(default)s)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument(
        "--lone", type=int, default=30, help="orders placed one after another (%(default)s)"
    )
    parser.add_argument(
        "--crowd",
        type=int,
        default=2000,
        help="concurrent buyers, for half as many units (%(default)s)",
    )
    parser.add_argument("--crowd-rounds", type=int, default=2, help="(%(default)s)")
    parser.add_argument(
        "--import-lines", type=int, default=0, help="lines to import; 0: all (%(default)s)"
    )
    parser.add_argument(
        "--large", type=int, default=2_000_000, help="events of a large log (%(default)s)"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.contenders) - set(contenders.ORDERS):
        parser.error(f"unknown contender: {', '.join(sorted(unknown))}")
    return arguments


if __name__ == "__main__":
    main()
