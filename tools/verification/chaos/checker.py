"""Checks the result from outside: by SQL, the REST API, the provider's book and the clients' log,
without the platform's own code."""

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from time import monotonic, sleep

import httpx
import psycopg

from tools.devserver import environment
from tools.verification.chaos.checks import (
    CHECKS,
    DOUBLED,
    EXTERNAL_BOOK,
    LOST,
    PREPARE,
    SANDBOX_BOOK,
    WRONG,
)
from tools.verification.chaos.load import SentCommand

SAMPLE = 100
# Part of the names of these checks.
ACKNOWLEDGED = "that was acknowledged is in the log"
MOST_SHOWN = 5

# The number of orders, sagas, messages and read model rows that are still in progress.
OPEN = """
    SELECT (SELECT count(*) FROM eventstore_event AS placed WHERE type = 'orders.order_placed'
        AND NOT EXISTS (
               SELECT FROM eventstore_event AS ended WHERE ended.stream = placed.stream
               AND ended.type IN ('orders.order_confirmed', 'orders.order_cancelled')))
         + (SELECT count(*) FROM eventstore_saga
            WHERE saga = 'orders.fulfilment' AND status NOT IN ('COMPLETED', 'COMPENSATED')
               OR saga = 'orders.returning' AND status NOT IN ('COMPLETED', 'CLOSED',
                   'GOODS_PENDING'))
         + (SELECT count(*) FROM eventstore_parked WHERE key NOT LIKE 'poison-%')
         + (SELECT count(*) FROM eventstore_event AS event JOIN orders_order_details AS shown
                ON event.data->>'order_id' = shown.order_id
            WHERE event.position > shown.position AND event.type IN (
                'orders.order_confirmed', 'orders.order_cancelled', 'payments.payment_refunded'))
"""

ENDED = """
    SELECT data->>'order_id', CASE type WHEN 'orders.order_confirmed' THEN 'CONFIRMED'
        ELSE 'CANCELLED' END
    FROM eventstore_event WHERE type IN ('orders.order_confirmed', 'orders.order_cancelled')
"""
TURNS = (
    "orders.order_placed",
    "orders.order_confirmed",
    "orders.order_cancelled",
    "payments.payment_completed",
)
HISTORY = """
    SELECT data->>'order_id', type FROM eventstore_event
    WHERE type = ANY(%s) AND data->>'order_id' = ANY(%s) ORDER BY position
"""


@dataclass(frozen=True)
class Violation:
    """counts_as: kind of the violation. examples: the first of `count`."""

    check: str
    counts_as: str
    count: int
    examples: Sequence[str]


class Checker:
    """shop: URL of a web server. tokens: by user. log: the clients' commands by key. stock: units
    by
    SKU before the load.

    book: entries of an external provider: (key, "charge" or "refund", order id, amount); None for
    the sandbox.
    """

    def __init__(
        self,
        database: str,
        shop: str,
        tokens: Mapping[str, str],
        staff: str,
        log: Mapping[str, SentCommand],
        stock: Mapping[str, int],
        book: Sequence[tuple[str, str, str, int]] | None = None,
    ) -> None:
        self.database, self.tokens, self.staff, self.log, self.stock = (
            database,
            tokens,
            staff,
            log,
            stock,
        )
        self.book = book
        self.http = httpx.Client(base_url=shop, timeout=20)
        self.random = Random("sample")

    def settle(self, *, seconds: float) -> float | None:
        """Wait until nothing is in progress. Returns the seconds it took; None after a timeout."""
        start = monotonic()
        while monotonic() - start < seconds:
            if self._count_open() == 0:
                return monotonic() - start
            sleep(0.5)
        return None

    def check(self) -> list[Violation]:
        return [
            Violation(name, counts_as, len(rows), rows[:MOST_SHOWN])
            for name, counts_as, rows in self.found()
            if rows
        ]

    def found(self) -> list[tuple[str, str, list[str]]]:
        """For each check: its name, the kind of its violations, and all that it found."""
        return [*self._by_sql(), *self._by_rest()]

    def lost(self) -> set[str]:
        """Keys of acknowledged commands that are not in the log."""
        return {
            key for name, counts_as, keys in self._by_sql() if ACKNOWLEDGED in name for key in keys
        }

    def _count_open(self) -> int:
        try:
            with psycopg.connect(self.database, connect_timeout=2) as connection:
                row = connection.execute(OPEN).fetchone()
                return int(row[0]) if row else 0
        except psycopg.OperationalError:
            return -1

    def _by_sql(self) -> Iterator[tuple[str, str, list[str]]]:
        with psycopg.connect(self.database) as connection:
            self._open_book(connection)
            connection.execute(PREPARE.encode())
            self._insert_client_log(connection)
            for name, (counts_as, query) in CHECKS.items():
                yield (
                    name,
                    counts_as,
                    [str(row[0]) for row in connection.execute(query.encode()).fetchall()],
                )

    def _open_book(self, connection: psycopg.Connection) -> None:
        if self.book is None:
            connection.execute(SANDBOX_BOOK.encode())
            return
        connection.execute(EXTERNAL_BOOK)
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO entry VALUES (%s, %s, %s, %s)", self.book)

    def _insert_client_log(self, connection: psycopg.Connection) -> None:
        with connection.cursor() as cursor:
            rows = [
                (each.key, each.customer, each.kind, each.outcome, each.order_id, each.subject)
                for each in self.log.values()
            ]
            cursor.executemany("INSERT INTO sent VALUES (%s, %s, %s, %s, %s, %s)", rows)
            bodies = [(each.key, body) for each in self.log.values() for body in each.answers]
            cursor.executemany("INSERT INTO response VALUES (%s, %s)", bodies)
            cursor.executemany("INSERT INTO stock_before VALUES (%s, %s)", self.stock.items())

    def _by_rest(self) -> Iterator[tuple[str, str, list[str]]]:
        acked = [
            each for each in self.log.values() if each.outcome == "acked" and each.kind == "place"
        ]
        sample = self.random.sample(acked, min(SAMPLE, len(acked)))
        yield "the pages of the list have each order once", WRONG, self._pages_are_the_set()
        yield ("the API shows every acknowledged order", LOST, self._shown_to_its_customer(sample))
        yield (
            "an order's history in the API matches the log",
            WRONG,
            self._history_is_the_log(sample[:20]),
        )
        yield ("no read model differs from its rebuild", DOUBLED, self._rebuilt_differently())
        yield "no customer sees another's order", WRONG, self._hidden_from_others(sample)
        yield "a list shows only the customer's own orders", WRONG, self._own_orders_only(sample)
        yield (
            "a repeated key gets the same response, byte for byte",
            DOUBLED,
            self._same_answer_again(sample),
        )

    def _pages_are_the_set(self) -> list[str]:
        with psycopg.connect(self.database) as connection:
            there = {
                row[0]
                for row in connection.execute(
                    "SELECT order_id FROM orders_order_details"
                ).fetchall()
            }
        listed = Counter(order["order_id"] for order in self._all_pages(self.staff))
        return sorted(
            (there ^ set(listed)) | {order_id for order_id, count in listed.items() if count > 1}
        )

    def _shown_to_its_customer(self, sample: Sequence[SentCommand]) -> list[str]:
        with psycopg.connect(self.database) as connection:
            ended: dict[str, str] = dict(connection.execute(ENDED).fetchall())
        shown = {each.order_id: self._get(each, each.customer).json() for each in sample}
        return [
            each.key
            for each in sample
            if (shown[each.order_id].get("order_id"), shown[each.order_id].get("status"))
            != (each.order_id, ended.get(each.order_id))
        ]

    def _history_is_the_log(self, sample: Sequence[SentCommand]) -> list[str]:
        with psycopg.connect(self.database) as connection:
            found = connection.execute(
                HISTORY, [list(TURNS), [each.order_id for each in sample]]
            ).fetchall()
        log = {order_id: [turn for its, turn in found if its == order_id] for order_id, _ in found}
        return [each.key for each in sample if self._history(each) != log.get(each.order_id)]

    def _history(self, sent: SentCommand) -> list[str]:
        path = f"/api/queries/orders/{sent.order_id}/history/"
        return [
            each["type"] for each in self._all_pages(sent.customer, path) if each["type"] in TURNS
        ]

    def _rebuilt_differently(self) -> list[str]:
        """By the platform's own command, which rebuilds every read model and compares."""
        command = [
            sys.executable,
            "-W",
            "ignore",
            "manage.py",
            "rebuild_projection",
            "--all",
            "--diff",
        ]
        settings = {
            "DATABASE_URL": self.database,
            "SECRET_KEY": "only-for-chaos",
            "EVENTSTORE_WAKE_WORKERS": "0",
        }
        done = subprocess.run(
            command, env=environment.with_settings(settings), capture_output=True, text=True
        )
        return (done.stdout + done.stderr).splitlines()[-MOST_SHOWN:] if done.returncode else []

    def _hidden_from_others(self, sample: Sequence[SentCommand]) -> list[str]:
        strangers = [
            (each, self.random.choice(sorted(set(self.tokens) - {each.customer, self.staff})))
            for each in sample
        ]
        return [
            each.key for each, stranger in strangers if self._get(each, stranger).status_code != 404
        ]

    def _own_orders_only(self, sample: Sequence[SentCommand]) -> list[str]:
        customers = sorted({each.customer for each in sample})[:10]
        return [
            order["order_id"]
            for customer in customers
            for order in self._all_pages(customer)
            if order["customer_id"] != customer
        ]

    def _same_answer_again(self, sample: Sequence[SentCommand]) -> list[str]:
        return [each.key for each in sample if not self._is_replayed(each)]

    def _is_replayed(self, sent: SentCommand) -> bool:
        headers = self._as(sent.customer) | {"Idempotency-Key": sent.key}
        answer = self.http.post(sent.path, json=sent.body, headers=headers)
        return answer.text == sent.answers[0] and "Idempotent-Replayed" in answer.headers

    def _all_pages(self, user: str, path: str = "/api/queries/orders/") -> Iterator[dict[str, str]]:
        page: str | None = f"{path}?limit=100"
        while page:
            answer = self.http.get(page, headers=self._as(user)).json()
            # A missing order has no data here; another check reports it.
            yield from answer.get("data", ())
            page = answer.get("next")

    def _get(self, sent: SentCommand, user: str) -> httpx.Response:
        return self.http.get(f"/api/queries/orders/{sent.order_id}/", headers=self._as(user))

    def _as(self, user: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[user]}"}


def counted(violations: Sequence[Violation]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for violation in violations:
        counts[violation.counts_as] += violation.count
    return dict(counts)
