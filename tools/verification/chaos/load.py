"""Customers, from outside: they order at times drawn beforehand, however slow the answers, and keep
a log of their own.

Whoever gets no answer does not know what happened, and asks again under the same key.
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

# More than 500, and yet no problem details with a Retry-After.
UNTOLD = "5xx without a word"

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
class Wish:
    """One order that somebody will want. at: seconds after the doors open.

    cancel_after, return_after: seconds after it was acknowledged; None if they keep it.
    """

    at: float
    key: str
    customer: str
    body: dict[str, Any]
    twice: bool
    cancel_after: float | None
    return_after: float | None


@dataclass
class Asked:
    """One command, as the client remembers it. kind: place, cancel, return, or receive, which is
    the shop's own part.

    subject: the id in the answer. tries: what came of each. answers: every body of a success.
    outcome: acked, refused, or unknown when it gave up without an answer.
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


def wishes(
    seed: int, skus: Sequence[str], customers: Sequence[str], *, rate: float, seconds: float
) -> Iterator[Wish]:
    random, at, number = Random(f"load {seed}"), 0.0, 0
    popular = list(accumulate(1 / (rank + 1) for rank in range(len(skus))))
    while (at := at + random.expovariate(rate)) < seconds:
        number += 1
        key = f"chaos-{seed}-{number}"
        wanted = {
            random.choices(skus, cum_weights=popular)[0] for _ in range(random.choice((1, 1, 2)))
        }
        yield Wish(
            at=at,
            key=key,
            customer=random.choice(customers),
            body={
                "items": [{"sku": sku, "quantity": random.randint(1, 3)} for sku in sorted(wanted)],
                "payment_method": _drawn(random, METHODS),
                # The key is in the order itself, so that the log can be asked whose wish an order
                # was.
                "address": {"name": key, "street": "Square 1", "city": "London", "country": "GB"}
                | {"postcode": _drawn(random, POSTCODES)},
            },
            twice=random.random() < TWICE,
            cancel_after=random.uniform(0, 2) if (fickle := random.random()) < CANCELLED else None,
            return_after=random.uniform(3, 8) if fickle > 1 - RETURNED else None,
        )


class Customers:
    """log: every command of theirs by its key. seen: the statuses and errors of all tries."""

    def __init__(self, urls: Sequence[str], tokens: dict[str, str], staff: str) -> None:
        self.urls, self.tokens, self.staff = urls, tokens, staff
        self.log: dict[str, Asked] = {}
        self.seen: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self.random = Random("patience")

    def live(self, wanted: Sequence[Wish]) -> None:
        asyncio.run(self._live(wanted))

    def write(self, path: Path) -> None:
        path.write_text("".join(json.dumps(asdict(asked)) + "\n" for asked in self.log.values()))

    async def _live(self, wanted: Sequence[Wish]) -> None:
        limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, limits=limits) as self.http:
            start = monotonic()
            async with asyncio.TaskGroup() as group:
                for wish in wanted:
                    await asyncio.sleep(max(0.0, start + wish.at - monotonic()))
                    group.create_task(self._want(wish))

    async def _want(self, wish: Wish) -> None:
        placing = Asked("place", wish.key, wish.customer, ORDERS, wish.body)
        await self._tell(placing, twice=wish.twice)
        placing.order_id = placing.subject
        if placing.order_id and wish.cancel_after is not None:
            await asyncio.sleep(wish.cancel_after)
            await self._tell(_about(placing, "cancel", {"reason": "changed my mind"}), twice=False)
        if placing.order_id and wish.return_after is not None:
            await asyncio.sleep(wish.return_after)
            await self._send_back(placing, twice=wish.twice)

    async def _send_back(self, placing: Asked, *, twice: bool) -> None:
        """One unit of the first line; the shop receives it a little later."""
        body = {"lines": [{"number": 1, "quantity": 1}], "reason": "too green"}
        returning = _about(placing, "return", body, path=f"{ORDERS}{placing.order_id}/returns/")
        await self._tell(returning, twice=twice)
        if returning.subject:
            path = f"/api/commands/returns/{returning.subject}/receive/"
            received = _about(placing, "receive", {}, path=path)
            received.customer = self.staff
            await self._tell(received, twice=twice)

    async def _tell(self, asked: Asked, *, twice: bool) -> None:
        self.log[asked.key] = asked
        await asyncio.gather(*(self._ask(asked) for _ in range(2 if twice else 1)))

    async def _ask(self, asked: Asked) -> None:
        until = monotonic() + GIVE_UP_SECONDS
        place = self.random.randrange(len(self.urls))
        while monotonic() < until:
            answer = await self._try(asked, self.urls[place])
            if answer is not None and _is_final(answer):
                _note(asked, answer)
                return
            place = (place + 1) % len(self.urls)
            await asyncio.sleep(self.random.uniform(0.3, 1.0))

    async def _try(self, asked: Asked, url: str) -> httpx.Response | None:
        headers = {
            "Authorization": f"Bearer {self.tokens[asked.customer]}",
            "Idempotency-Key": asked.key,
        }
        began, answer = monotonic(), None
        try:
            answer = await self.http.post(url + asked.path, json=asked.body, headers=headers)
        except httpx.HTTPError as error:
            what = type(error).__name__
        else:
            what = str(answer.status_code) + (
                " replayed" if "Idempotent-Replayed" in answer.headers else ""
            )
            self.milliseconds.append((monotonic() - began) * 1e3)
            self.seen[UNTOLD] += answer.status_code > 500 and not _says_when(answer)
        asked.tries.append(what)
        self.seen[what] += 1
        return answer


def _about(placing: Asked, kind: str, body: dict[str, Any], *, path: str = "") -> Asked:
    path = path or f"{ORDERS}{placing.order_id}/{kind}/"
    return Asked(
        kind, f"{placing.key}-{kind}", placing.customer, path, body, order_id=placing.order_id
    )


def _is_final(answer: httpx.Response) -> bool:
    """A refusal by the domain is an answer; that somebody else is at it, or nobody can answer now,
    is none."""
    return (
        answer.status_code < 500
        and answer.status_code != 429
        and "Retry-After" not in answer.headers
    )


def _says_when(answer: httpx.Response) -> bool:
    return "Retry-After" in answer.headers and answer.headers["Content-Type"].startswith(
        "application/problem+json"
    )


def _note(asked: Asked, answer: httpx.Response) -> None:
    if answer.status_code >= 400:
        # Of two at once the one that was told No does not undo the other's Yes; the checker
        # compares them.
        asked.outcome, asked.status = (
            ("refused", answer.status_code) if not asked.answers else (asked.outcome, asked.status)
        )
        return
    asked.outcome, asked.status = "acked", answer.status_code
    asked.answers.append(answer.text)
    said = answer.json()
    asked.subject = said.get("return_id") or said["order_id"]


def _drawn(random: Random, weights: dict[str, int]) -> str:
    return random.choices(list(weights), weights=list(weights.values()))[0]
