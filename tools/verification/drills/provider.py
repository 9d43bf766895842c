"""A payment provider that no drill destroys: a separate process with its own book, called over
HTTP."""

import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

import httpx

from tools.devserver import account, folder, ports
from tools.devserver.processes import Program
from tools.devserver.programs import ROOT
from tools.verification.chaos import webhooks
from tools.verification.chaos.stage import Keeper

HOLD_SECONDS, TIMEOUT_SECONDS = 1.0, 2.0
# In the form of the checker: a failed charge has the amount 0.
BOOK = """
    SELECT key, 'charge', order_id, CASE status WHEN 'succeeded' THEN amount ELSE 0 END FROM intent
    UNION ALL
    SELECT key, 'refund', order_id, amount FROM refund
"""


class Provider:
    def __init__(self, path: Path) -> None:
        self.path, self.file, self.port = path, path / "provider.sqlite", ports.free()

    @property
    def settings(self) -> dict[str, str]:
        return {
            "PAYMENT_GATEWAY": "stripe",
            "STRIPE_SECRET_KEY": "sk_test_only_for_drills",
            "STRIPE_WEBHOOK_SECRETS": webhooks.SECRET,
            "STRIPE_BASE_URL": f"http://{ports.HOST}:{self.port}",
            "STRIPE_TIMEOUT_SECONDS": str(TIMEOUT_SECONDS),
        }

    def start(self, keeper: Keeper) -> None:
        options = (str(self.file), "--port", str(self.port), "--hold", str(HOLD_SECONDS))
        keeper.start(
            Program(
                name="provider",
                command=(sys.executable, "-m", "tests.payments.stripe_server", *options),
                environment={"PYTHONPATH": str(ROOT)},
                folder=ROOT,
                account=account.ours(),
                log=folder.log(self.path, "provider"),
            )
        )
        until = monotonic() + 10
        while monotonic() < until:
            try:
                httpx.get(
                    f"{self.settings['STRIPE_BASE_URL']}/v1/charges?transfer_group=none", timeout=1
                )
                return
            except httpx.HTTPError:
                sleep(0.05)
        raise SystemExit("drills: no answer from the provider")

    def book(self) -> Sequence[tuple[str, str, str, int]]:
        with closing(sqlite3.connect(self.file)) as book:
            return book.execute(BOOK).fetchall()
