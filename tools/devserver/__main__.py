"""python -m tools.devserver: `run` the platform, run Kafka and RabbitMQ (`brokers`), `exec` a
command with services of its own, `clean` removes the data."""

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from tools.devserver import brokers
from tools.devserver.errors import LauncherError
from tools.devserver.execute import execute
from tools.devserver.run import DATA, clean, run


def main() -> int:
    arguments = _arguments()
    try:
        match arguments.what:
            case "run":
                run(arguments.data)
            case "brokers":
                brokers.serve(arguments.data)
            case "clean":
                clean(arguments.data)
            case "exec":
                return execute(arguments.command, arguments.data)
        return 0
    except (LauncherError, OSError) as error:  # OSError: no space, no permission
        print(f"orders: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _arguments() -> Namespace:
    parser = ArgumentParser(prog="python -m tools.devserver", description=__doc__)
    what = parser.add_subparsers(dest="what", required=True)
    for name, purpose in (
        ("run", "run the whole platform until Ctrl-C"),
        ("clean", "remove the data of `run`"),
    ):
        what.add_parser(name, help=purpose).add_argument("--data", type=Path, default=DATA)
    what.add_parser("brokers", help="run Kafka and RabbitMQ until Ctrl-C").add_argument(
        "--data", type=Path, default=brokers.DATA
    )
    command = what.add_parser(
        "exec", help="run a command with DATABASE_URL and REDIS_URL set to services of its own"
    )
    command.add_argument("--data", type=Path, help="keep the data in this folder")
    command.add_argument("command", nargs="+", metavar="-- COMMAND")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
