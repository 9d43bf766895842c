"""Clients of the HTTP API: they send orders at planned times, however slow the responses (an open
workload), and keep a log.

A client without a response does not know the outcome, so it retries with the same idempotency key.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import accumulate
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any

import httpx

TIMEOUT_SECONDS = 5.0
GIVE_UP_SECONDS = 60.0

# A status above 500 without problem details and Retry-After.
UNEXPLAINED = "5xx without Retry-After"

ORDERS = "/api/commands/orders/"

METHODS = {
    "tok_visa": 80,
    "tok_declined": 5,
    "tok_timeout_once": 3,
    "tok_charged_but_timeout": 3,
    "tok_late": 3,
    "tok_refund_timeout_once": 3,
    "tok_refunded_but_timeout": 3,
}
POSTCODES = {"SW1Y 4JH": 90, "REFUSED": 5, "TIMEOUT-ONCE": 3, "LATE": 2}
TWICE, CANCELLED, RETURNED = 0.12, 0.08, 0.08


@dataclass(frozen=True)
class PlannedOrder:
    """at: seconds after the start. twice: send the command twice at once.

    cancel_after, return_after: seconds after the acknowledgement; None for never.
    """

    at: float
    key: str
    customer: str
    body: dict[str, Any]
    twice: bool
    cancel_after: float | None
    return_after: float | None


@dataclass
class SentCommand:
    """A command in the client's log. kind: place, cancel, return, or receive, which staff sends.

    subject: the id in the response. tries: the status or error of each. answers: bodies of the
    successful responses. outcome: acked, refused, or unknown without any response.
    """

    kind: str
    key: str
    customer: str
    path: str
    body: dict[str, Any]
    order_id: str = ""
    subject: str = ""
    tries: list[str] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    outcome: str = "unknown"
    status: int = 0


def plan_orders(
    seed: int, skus: Sequence[str], customers: Sequence[str], *, rate: float, seconds: float
) -> Iterator[PlannedOrder]:
    random, at, number = Random(f"load {seed}"), 0.0, 0
    popular = list(accumulate(1 / (rank + 1) for rank in range(len(skus))))
    while (at := at + random.expovariate(rate)) < seconds:
        number += 1
        key = f"chaos-{seed}-{number}"
        wanted = {
            random.choices(skus, cum_weights=popular)[0] for _ in range(random.choice((1, 1, 2)))
        }
        yield PlannedOrder(
            at=at,
            key=key,
            customer=random.choice(customers),
            body={
                "items": [{"sku": sku, "quantity": random.randint(1, 3)} for sku in sorted(wanted)],
                "payment_method": _draw(random, METHODS),
                # The key is in the order itself, so that the log shows which command an order is
                # of.
                "address": {"name": key, "street": "Square 1", "city": "London", "country": "GB"}
                | {"postcode": _draw(random, POSTCODES)},
            },
            twice=random.random() < TWICE,
            cancel_after=random.uniform(0, 2) if (draw := random.random()) < CANCELLED else None,
            return_after=random.uniform(3, 8) if draw > 1 - RETURNED else None,
        )


class Customers:
    """log: every command by its key. seen: counts of the statuses and errors of all tries."""

    def __init__(self, urls: Sequence[str], tokens: dict[str, str], staff: str) -> None:
        self.urls, self.tokens, self.staff = urls, tokens, staff
        self.log: dict[str, SentCommand] = {}
        self.seen: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self.random = Random("patience")

    def run(self, planned: Sequence[PlannedOrder]) -> None:
        asyncio.run(self._run(planned))

    @property
    def acknowledged(self) -> int:
        """The number of acknowledged orders."""
        return sum(each.outcome == "acked" for each in self.log.values() if each.kind == "place")

    def write(self, path: Path) -> None:
        path.write_text("".join(json.dumps(asdict(sent)) + "\n" for sent in self.log.values()))

    async def _run(self, planned: Sequence[PlannedOrder]) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits) as self.http:
            start = monotonic()
            async with asyncio.TaskGroup() as group:
                for order in planned:
                    await asyncio.sleep(max(0.0, start + order.at - monotonic()))
                    group.create_task(self._live(order))

    async def _live(self, order: PlannedOrder) -> None:
        placing = SentCommand("place", order.key, order.customer, ORDERS, order.body)
        await self._send(placing, twice=order.twice)
        placing.order_id = placing.subject
        if placing.order_id and order.cancel_after is not None:
            await asyncio.sleep(order.cancel_after)
            await self._send(_about(placing, "cancel", {"reason": "changed my mind"}), twice=False)
        if placing.order_id and order.return_after is not None:
            await asyncio.sleep(order.return_after)
            await self._send_back(placing, twice=order.twice)

    async def _send_back(self, placing: SentCommand, *, twice: bool) -> None:
        """Return one unit of the first line; staff then receives it."""
        body = {"lines": [{"number": 1, "quantity": 1}], "reason": "too green"}
        returning = _about(placing, "return", body, path=f"{ORDERS}{placing.order_id}/returns/")
        await self._send(returning, twice=twice)
        if returning.subject:
            path = f"/api/commands/returns/{returning.subject}/receive/"
            received = _about(placing, "receive", {}, path=path)
            received.customer = self.staff
            await self._send(received, twice=twice)

    async def _send(self, sent: SentCommand, *, twice: bool) -> None:
        self.log[sent.key] = sent
        await asyncio.gather(*(self._retry(sent) for _ in range(2 if twice else 1)))

    async def _retry(self, sent: SentCommand) -> None:
        until = monotonic() + GIVE_UP_SECONDS
        place = self.random.randrange(len(self.urls))
        while monotonic() < until:
            answer = await self._try(sent, self.urls[place])
            if answer is not None and _is_final(answer):
                _record(sent, answer)
                return
            place = (place + 1) % len(self.urls)
            await asyncio.sleep(self.random.uniform(0.3, 1.0))

    async def _try(self, sent: SentCommand, url: str) -> httpx.Response | None:
        headers = {
            "Authorization": f"Bearer {self.tokens[sent.customer]}",
            "Idempotency-Key": sent.key,
        }
        began, answer = monotonic(), None
        try:
            answer = await self.http.post(url + sent.path, json=sent.body, headers=headers)
        except httpx.HTTPError as error:
            what = type(error).__name__
        else:
            what = str(answer.status_code) + (
                " replayed" if "Idempotent-Replayed" in answer.headers else ""
            )
            self.milliseconds.append((monotonic() - began) * 1e3)
            self.seen[UNEXPLAINED] += answer.status_code > 500 and not _has_retry_after(answer)
        sent.tries.append(what)
        self.seen[what] += 1
        return answer


def _about(placing: SentCommand, kind: str, body: dict[str, Any], *, path: str = "") -> SentCommand:
    path = path or f"{ORDERS}{placing.order_id}/{kind}/"
    return SentCommand(
        kind, f"{placing.key}-{kind}", placing.customer, path, body, order_id=placing.order_id
    )


def _is_final(answer: httpx.Response) -> bool:
    """A rejection by the domain is final; a conflict in progress, rate limiting and unavailability
    are not."""
    return (
        answer.status_code < 500
        and answer.status_code != 429
        and "Retry-After" not in answer.headers
    )


def _has_retry_after(answer: httpx.Response) -> bool:
    return "Retry-After" in answer.headers and answer.headers["Content-Type"].startswith(
        "application/problem+json"
    )


def _record(sent: SentCommand, answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        # Of two sent at once, a rejection does not override a success; the checker compares them.
        if not sent.answers:
            sent.outcome, sent.status = "refused", answer.status_code
        return
    sent.outcome, sent.status = "acked", answer.status_code
    sent.answers.append(answer.text)
    body = answer.json()
    sent.subject = body.get("return_id") or body["order_id"]


def _draw(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), weights=list(weights.values()))[0]
