"""manage.py live: serve WebSockets."""

import asyncio
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from eventstore import guarantees
from eventstore.live.server import Sockets
from examples.rooms.live import FEED


class Command(BaseCommand):
    help = "Serve the events of rooms over WebSockets."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8001)

    def handle(self, *args: Any, **options: Any) -> None:
        guarantees.demand_or_exit()
        asyncio.run(Sockets(FEED).serve("127.0.0.1", options["port"]))
