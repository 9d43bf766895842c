"""Webhooks of the provider: five copies of each, out of order and concurrent; and some with a
forged signature."""

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
COPIES, MOST_ENTRIES = 5, 20

# The newest entries of the provider's book; the response to some is still on its way.
DONE = """
    SELECT key, kind, order_id, asked, currency, reference FROM payments_sandbox_entry
    WHERE amount > 0 ORDER BY order_id DESC LIMIT %s
"""


def send(connection: psycopg.Connection, shops: Sequence[str], random: Random) -> Counter[str]:
    """Returns counts; forgeries_accepted must be 0."""
    done = connection.execute(DONE, [MOST_ENTRIES]).fetchall()
    bodies = [_body(*row) for row in done for _ in range(COPIES)]
    random.shuffle(bodies)
    genuine = [(random.choice(shops), body, SECRET) for body in bodies]
    forged = [(random.choice(shops), _body(*row), "whsec_another") for row in done[:COPIES]]
    with ThreadPoolExecutor(COPIES) as pool:
        answers = list(pool.map(lambda each: _post(*each), genuine))
        refusals = list(pool.map(lambda each: _post(*each), forged))
    return Counter(
        accepted=answers.count(200),
        failed=len(answers) - answers.count(200),
        forgeries_rejected=refusals.count(401),
        forgeries_accepted=refusals.count(200),
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
    content: dict[str, Any] = {
        "id": reference,
        "amount": units,
        "currency": currency.lower(),
        "status": "succeeded",
    }
    content["metadata"] = {"key": key, "order_id": order_id}
    if kind == "charge":
        content |= {"object": "payment_intent", "amount_received": units}
    else:
        content |= {"object": "refund"}
    return json.dumps(
        {"id": f"evt_{key}", "type": f"{content['object']}.succeeded", "data": {"object": content}}
    ).encode()
