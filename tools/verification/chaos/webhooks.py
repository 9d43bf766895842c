"""A provider that tells of what it has done by itself: five times each, out of order, at once; and
a liar beside it."""

import hmac
import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from time import time
from typing import Any

import httpx
import psycopg

SECRET = "whsec_only_for_chaos"
PATH = "/api/webhooks/payments/stripe/"
COPIES, MOST_TOLD = 5, 20

# The newest things that were done, by the provider's own book; some have not been answered yet.
DONE = """
    SELECT key, kind, order_id, asked, currency, reference FROM payments_sandbox_entry
    WHERE amount > 0 ORDER BY order_id DESC LIMIT %s
"""


def tell(connection: psycopg.Connection, shops: Sequence[str], random: Random) -> Counter[str]:
    """heard: how many were taken. refused: of the forged ones. believed: of those, none may be."""
    done = connection.execute(DONE, [MOST_TOLD]).fetchall()
    bodies = [_body(*row) for row in done for _ in range(COPIES)]
    random.shuffle(bodies)
    said = [(random.choice(shops), body, SECRET) for body in bodies]
    lies = [(random.choice(shops), _body(*row), "whsec_somebody_else") for row in done[:COPIES]]
    with ThreadPoolExecutor(COPIES) as pool:
        answers = list(pool.map(lambda each: _post(*each), said))
        denied = list(pool.map(lambda each: _post(*each), lies))
    return Counter(
        heard=answers.count(200),
        unheard=len(answers) - answers.count(200),
        refused=denied.count(401),
        believed=denied.count(200),
    )


def _post(shop: str, body: bytes, secret: str) -> int:
    at = int(time())
    signature = hmac.digest(secret.encode(), f"{at}.".encode() + body, "sha256").hex()
    headers = {"Stripe-Signature": f"t={at},v1={signature}", "Content-Type": "application/json"}
    try:
        return httpx.post(shop + PATH, content=body, headers=headers, timeout=3).status_code
    except httpx.HTTPError:
        return 0


def _body(key: str, kind: str, order_id: str, units: int, currency: str, reference: str) -> bytes:
    told: dict[str, Any] = {
        "id": reference,
        "amount": units,
        "currency": currency.lower(),
        "status": "succeeded",
    }
    told["metadata"] = {"key": key, "order_id": order_id}
    if kind == "charge":
        told |= {"object": "payment_intent", "amount_received": units}
    else:
        told |= {"object": "refund"}
    return json.dumps(
        {"id": f"evt_{key}", "type": f"{told['object']}.succeeded", "data": {"object": told}}
    ).encode()
