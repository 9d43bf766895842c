"""manage.py follow ORDER: shows what happens to an order, or to all of a customer's, as a client
sees it."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

AGAIN_SECONDS = 1.0
# What coming back does not mend.
HOPELESS = (4400, 4401, 4403, 4404)


class Command(BaseCommand):
    help = (
        "Follows an order over a WebSocket, from its first event on; when the connection breaks,"
        " goes on behind it."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "order", nargs="?", help="its id; without one, all orders of whose token it is"
        )
        parser.add_argument(
            "--url", default="ws://127.0.0.1:8001", help="where the socket server listens"
        )
        parser.add_argument("--token", required=True, help="what /api/auth/login/ has given")

    def handle(self, *args: Any, order: str | None, url: str, token: str, **options: Any) -> None:
        self.position = 0
        address = (
            f"{url}/ws/orders/{order}/?position=" if order else f"{url}/ws/customers/me/?after="
        )
        while True:
            try:
                self._follow(f"{address}{self.position}", token)
            except ConnectionClosed as closed:
                if closed.rcvd and closed.rcvd.code in HOPELESS:
                    raise CommandError(f"{closed.rcvd.code}: {closed.rcvd.reason}") from None
            except OSError as error:
                self.stderr.write(f"{error}; trying again")
            time.sleep(AGAIN_SECONDS)

    def _follow(self, address: str, token: str) -> None:
        with connect(address, additional_headers={"Authorization": f"Bearer {token}"}) as socket:
            for text in socket:
                told = json.loads(text)
                if "position" in told:
                    self.position = told["position"]
                    self.stdout.write(
                        f"{told['position']:>8}  {told['order_id']}  {told['type']}  {told['data']}"
                    )
