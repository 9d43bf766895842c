"""python -m config.live: the process that serves WebSockets. Requests have processes of their
own."""

import asyncio
import os
from argparse import ArgumentParser

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")


def main() -> None:
    parser = ArgumentParser(prog="python -m config.live", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    django.setup()
    # These imports need the models.
    from config.api.sockets import FEED
    from eventstore import guarantees
    from eventstore.live.server import Sockets

    guarantees.demand_or_exit()
    asyncio.run(Sockets(FEED).serve(arguments.host, arguments.port))


if __name__ == "__main__":
    main()
