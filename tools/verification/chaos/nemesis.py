"""Injects the planned faults (the nemesis, as in Jepsen), and counts those that had an effect."""

import json
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from threading import Timer
from time import monotonic, sleep
from uuid import uuid4

import psutil
import psycopg
import redis
from celery import Celery

from tools.verification.chaos import webhooks
from tools.verification.chaos.plan import Fault
from tools.verification.chaos.proxy import Disturbance
from tools.verification.chaos.stage import WEBS, WORKERS, Stage

# How long a kill waits for its victim to open a transaction.
AMBUSH_SECONDS = 1.5
COPIES = 30
# How long a fault waits until the database is back after the previous one.
PATIENCE_SECONDS = 30.0
# Long enough: nothing may wait for an idle transaction at all.
IDLE_SECONDS = 30.0
SUBSCRIPTIONS, PAUSED_SECONDS = ("orders.details", "shipping.shipments"), 2.0
HOT, HOT_BATCHES, HOT_BATCH = "SKU-HOT", 5, 500

NOT_RUN = "not run: "


class Nemesis:
    """log: what was done and when. hits: counts of faults that had an effect.

    Each fault is a method. It returns how many processes, connections or messages it has hit, and a
    text for the log.
    """

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.random = stage, Random(f"nemesis {seed}")
        self.log: list[dict[str, object]] = []
        self.hits: Counter[str] = Counter()
        self.poisoned: list[str] = []
        self._timers: list[Timer] = []
        self._disturbances: list[tuple[str, Disturbance]] = []

    def run_plan(self, plan: Sequence[Fault], start: float) -> None:
        for fault in plan:
            sleep(max(0.0, start + fault.at - monotonic()))
            hit, did = getattr(self, fault.what)(fault)
            self.hits[fault.what] += bool(hit)
            self.log.append({"at": round(monotonic() - start, 1), "what": fault.what, "did": did})

    def stop_faults(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for name in SUBSCRIPTIONS:
            self._pause(name, paused=False)
        self.stage.heal()
        for what, each in self._disturbances:
            self.hits[what] += each.delayed > 0

    # Kills.

    def kill_pool_child(self, fault: Fault) -> tuple[int, str]:
        name = WORKERS[fault.target]
        self._await_transaction(name)
        children = sorted(self.stage.pool_children(name), key=lambda child: child.pid)
        if not children:
            return 0, "there was none"
        with suppress(psutil.NoSuchProcess):
            self.random.choice(children).kill()
        return 1, name

    def kill_worker(self, fault: Fault) -> tuple[int, str]:
        return self._kill(WORKERS[fault.target])

    def kill_web(self, fault: Fault) -> tuple[int, str]:
        return self._kill(WEBS[fault.target])

    def kill_beat(self, fault: Fault) -> tuple[int, str]:
        return self.stage.keeper.send("beat", signal.SIGKILL), "beat"

    def kill_postgres(self, fault: Fault) -> tuple[int, str]:
        """The postmaster and every backend."""
        self._await_transaction(WEBS[fault.target])
        return self.stage.keeper.send("postgres", signal.SIGKILL), "postgres"

    def kill_redis(self, fault: Fault) -> tuple[int, str]:
        return self.stage.keeper.send("redis", signal.SIGKILL), "redis"

    def kill_pooler(self, fault: Fault) -> tuple[int, str]:
        """With all of its connections to both sides."""
        self._await_transaction(WEBS[fault.target])
        return self.stage.keeper.send("pgbouncer", signal.SIGKILL), "pgbouncer"

    def pause_subscription(self, fault: Fault) -> tuple[int, str]:
        """For longer than a worker waits before it writes delivery markers."""
        name = SUBSCRIPTIONS[fault.target]
        self._pause(name, paused=True)
        self._after(PAUSED_SECONDS, lambda: self._pause(name, paused=False))
        return 1, f"{name} for {PAUSED_SECONDS} s"

    def deploy(self, fault: Fault) -> tuple[int, str]:
        """A rolling restart: stop signals to all programs; the keeper starts others."""
        count = sum(
            self.stage.keeper.ask(name, signal.SIGTERM)
            for name in (*WORKERS, "beat", WEBS[fault.target])
        )
        return count, f"{count} programs were stopped and replaced"

    # Pauses (SIGSTOP).

    def stop_worker(self, fault: Fault) -> tuple[int, str]:
        return self._stop(WORKERS[fault.target], fault.seconds)

    def stop_web(self, fault: Fault) -> tuple[int, str]:
        return self._stop(WEBS[fault.target], fault.seconds)

    # The network.

    def reset_database(self, fault: Fault) -> tuple[int, str]:
        side = ("web", "worker")[fault.target]
        self._await_transaction((WEBS, WORKERS)[fault.target][0])
        cut = self._reset(side)
        return cut, f"{cut} connections of {side}"

    # What these two have hit is known when they are over.

    def silence_database(self, fault: Fault) -> tuple[int, str]:
        self._disturbances.append(
            (fault.what, self.stage.proxies["worker"].fall_silent(fault.seconds))
        )
        return 0, f"all connections of worker for {fault.seconds} s"

    def slow_database(self, fault: Fault) -> tuple[int, str]:
        side = ("web", "worker")[fault.target]
        self._disturbances.append(
            (fault.what, self.stage.proxies[side].slow_down(0.03, fault.seconds))
        )
        return 0, f"30 ms more on all connections of {side} for {fault.seconds} s"

    def reset_broker(self, fault: Fault) -> tuple[int, str]:
        cut = self._reset("broker")
        return cut, f"{cut} connections"

    # Data.

    def flush_broker(self, fault: Fault) -> tuple[int, str]:
        with (
            suppress(redis.RedisError),
            redis.Redis.from_url(self.stage.broker, socket_timeout=2) as broker,
        ):
            _until(broker.dbsize)
            waiting = int(broker.dbsize())
            broker.flushall()
            return waiting, f"{waiting} keys were in it"
        return 0, "it was down"

    def copy_tasks(self, fault: Fault) -> tuple[int, str]:
        """Like a broker that redelivers: many copies of the same task at once."""
        sent = self._send_tasks("eventstore.deliver", COPIES)
        return sent, f"{sent} copies"

    def poison(self, fault: Fault) -> tuple[int, str]:
        """A message of an unknown type for a busy subscription, and an unknown Celery task."""
        key, id_ = f"poison-{len(self.poisoned)}", str(uuid4())
        outgoing = {
            "topic": "payments",
            "key": key,
            "type": "chaos.poison",
            "id": id_,
            "payload": {},
        }
        message = outgoing | {"metadata": {"correlation_id": id_}}
        written = 0
        with suppress(psycopg.Error), self._connected() as connection:
            connection.execute("SELECT eventstore_append(NULL, %s::json)", [json.dumps([message])])
            written = 1
        self.poisoned += [key] * written
        self._send_tasks("chaos.unknown_task", 1)
        return written, key

    def idle_transaction(self, fault: Fault) -> tuple[int, str]:
        """A foreign transaction, open and idle in the same database, with a transaction id."""
        with suppress(psycopg.OperationalError):
            foreign = self._connected()
            foreign.execute("SELECT pg_current_xact_id()")
            self._after(IDLE_SECONDS, foreign.close)
            return 1, f"{IDLE_SECONDS} s"
        return 0, "the database was down"

    def hot_stream(self, fault: Fault) -> tuple[int, str]:
        """Many events of one stream at once."""
        written = 0
        with suppress(psycopg.Error), self._connected() as connection:
            for _ in range(HOT_BATCHES):
                events = json.dumps(list(_receipts(HOT_BATCH)))
                connection.execute("SELECT eventstore_append_open(%s::json, NULL)", [events])
                connection.commit()
                written += HOT_BATCH
        return written, f"{written} events of stock-{HOT}"

    def webhooks(self, fault: Fault) -> tuple[int, str]:
        """Events of the provider: repeated, out of order, before its own response; and some with a
        forged signature."""
        with suppress(psycopg.Error), self._connected() as connection:
            counts = webhooks.send(connection, self.stage.urls, self.random)
            self.hits["forgeries_accepted"] += counts["forgeries_accepted"]
            self.hits["webhooks_accepted"] += counts["accepted"]
            text = ", ".join(f"{count} {what}" for what, count in sorted(counts.items()))
            return counts["accepted"], text
        return 0, "the database was down"

    # Clocks.

    def jump_clock(self, fault: Fault) -> tuple[int, str]:
        if not self.stage.clock.library:
            return 0, f"{NOT_RUN}libfaketime is not installed"
        seconds = (3600, -7200)[fault.target]
        self.stage.clock.jump(seconds)
        self._after(fault.seconds, self.stage.clock.set_right)
        return 1, f"{seconds:+d} s for {fault.seconds} s"

    # Helpers.

    def _kill(self, name: str) -> tuple[int, str]:
        self._await_transaction(name)
        return self.stage.keeper.send(name, signal.SIGKILL), name

    def _stop(self, name: str, seconds: float) -> tuple[int, str]:
        self._await_transaction(name)
        stopped = self.stage.keeper.send(name, signal.SIGSTOP)
        self._after(seconds, lambda: self.stage.keeper.send(name, signal.SIGCONT))
        return stopped, f"{name} for {seconds} s"

    def _pause(self, name: str, *, paused: bool) -> None:
        with self._connected() as connection:
            connection.execute(
                "UPDATE eventstore_subscription SET paused = %s WHERE name = %s", [paused, name]
            )

    def _reset(self, side: str) -> int:
        """Waits first for connections that return from the previous reset."""
        proxy = self.stage.proxies[side]
        _until(lambda: proxy.connections)
        return proxy.reset()

    def _connected(self) -> psycopg.Connection:
        """A connection to the database, which may have been killed a moment ago."""
        connect = partial(
            psycopg.connect, self.stage.database, application_name="foreign", connect_timeout=2
        )
        until = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return connect()
            except psycopg.OperationalError:
                if monotonic() > until:
                    raise
                sleep(0.2)

    def _await_transaction(self, name: str) -> None:
        """Until the program has an open transaction, for AMBUSH_SECONDS at most."""
        until = monotonic() + AMBUSH_SECONDS
        while monotonic() < until:
            if open_now := self.stage.transactions_of(name):
                self.hits["killed_in_a_transaction"] += 1
                self.hits["transactions_killed"] += open_now
                return

    def _send_tasks(self, name: str, count: int) -> int:
        sent = 0
        with (
            suppress(Exception),
            Celery(broker=self.stage.broker).connection_for_write() as connection,
        ):
            producer = connection.Producer(serializer="json")
            for _ in range(count):
                headers = {"id": str(uuid4()), "task": name, "lang": "py"}
                producer.publish(([], {}, {}), routing_key="celery", headers=headers, declare=[])
                sent += 1
        self.hits["tasks_injected"] += sent
        return sent

    def _after(self, seconds: float, action: object) -> None:
        timer = Timer(seconds, action)  # type: ignore[arg-type]
        timer.daemon = True
        timer.start()
        self._timers.append(timer)


def _until(condition: Callable[[], object]) -> None:
    until = monotonic() + AMBUSH_SECONDS
    while not condition() and monotonic() < until:
        sleep(0.05)


def _receipts(count: int) -> Iterator[dict[str, object]]:
    correlation = str(uuid4())
    for _ in range(count):
        yield {
            "stream": f"stock-{HOT}",
            "version": None,
            "expected": -1,
            "id": str(uuid4()),
            "type": "inventory.stock_received",
            "schema_version": 1,
            "data": {"sku": HOT, "quantity": 1, "reference": "chaos"},
            "correlation_id": correlation,
            "causation_id": None,
            "metadata": {"actor": "chaos"},
        }
