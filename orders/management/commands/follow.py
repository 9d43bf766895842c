"""manage.py follow ORDER: print the live feed of an order, or of all orders of a customer."""

import json
import time
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from eventstore.management.command import EscapingCommand

AGAIN_SECONDS = 1.0
# Close codes after which connecting again cannot help.
FINAL = (4400, 4401, 4403, 4404)


class Command(EscapingCommand):
    help = (
        "Follow an order over a WebSocket, from its first event on. Reconnects and continues after"
        " the last event."
    )
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "order", nargs="?", help="its id; without one, all orders of the token's user"
        )
        parser.add_argument(
            "--url", default="ws://127.0.0.1:8001", help="address of the socket server"
        )
        parser.add_argument("--token", required=True, help="token from /api/auth/login/")

    def handle(self, *args: Any, order: str | None, url: str, token: str, **options: Any) -> None:
        position, headers = 0, {"Authorization": f"Bearer {token}"}
        address = (
            f"{url}/ws/orders/{order}/?position=" if order else f"{url}/ws/customers/me/?after="
        )
        while True:
            try:
                with connect(f"{address}{position}", additional_headers=headers) as socket:
                    for item in map(json.loads, socket):
                        if "position" in item:
                            position = item["position"]
                            self.stdout.write(
                                f"{position:>8}  {item['order_id']}  {item['type']}  {item['data']}"
                            )
            except ConnectionClosed as closed:
                if closed.rcvd and closed.rcvd.code in FINAL:
                    raise CommandError(f"{closed.rcvd.code}: {closed.rcvd.reason}") from None
            except OSError as error:
                self.stderr.write(f"{error}; reconnecting")
            time.sleep(AGAIN_SECONDS)
