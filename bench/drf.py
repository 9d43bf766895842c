"""The peer over HTTP: requests per second of its three views.

usage: python -m bench.one bench.drf SECONDS   (DATABASE_URL: empty)
"""

import json
import sys

from tools.devserver import ports

from . import basket, children
from .load import WEB, body, measure, order_id_of, request, wait_for
from .peers import drf


def main(seconds: int) -> None:
    drf.create_tables()
    port = ports.free()
    with children.member(
        sys.executable,
        "-m",
        "gunicorn",
        "bench.peers.drf:application",
        *WEB,
        f"--bind={ports.HOST}:{port}",
    ) as server:
        wait_for(port)
        for _ in range(basket.WARM_UP):
            order_id = order_id_of(request(port, "POST", "/insert/", body(0)), "id")
        figures = {
            "insert": measure(server, port, "POST", "/insert/", seconds),
            "crud": measure(server, port, "POST", "/crud/", seconds),
            "retrieve": measure(server, port, "GET", f"/orders/{order_id}/", seconds),
        }
    print(
        json.dumps(
            {
                f"{name}_{what}": value
                for name, found in figures.items()
                for what, value in found.items()
            }
        )
    )
