"""Carries out the plan, and counts what it has really hit."""

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
from tools.verification.chaos.proxy import BadSpell
from tools.verification.chaos.stage import WEBS, WORKERS, Stage

# How long a kill waits for its victim to be in the middle of something.
LURKING_SECONDS = 1.5
COPIES = 30
# How long a fault waits for the database to be back from the one before.
PATIENCE_SECONDS = 30.0
# An hour would do as well; nobody waits for who is idle for this long.
IDLE_SECONDS = 30.0
SUBSCRIPTIONS, PAUSED_SECONDS = ("orders.details", "shipping.shipments"), 2.0
HOT, HOT_BATCHES, HOT_BATCH = "SKU-HOT", 5, 500

NOT_RUN = "not run: "


class Nemesis:
    """log: what was done and when. hits: what of it met somebody; each fault says how many, and
    what it did."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.random = stage, Random(f"nemesis {seed}")
        self.log: list[dict[str, object]] = []
        self.hits: Counter[str] = Counter()
        self.poisoned: list[str] = []
        self._timers: list[Timer] = []
        self._spells: list[tuple[str, BadSpell]] = []

    def carry_out(self, plan: Sequence[Fault], start: float) -> None:
        for fault in plan:
            sleep(max(0.0, start + fault.at - monotonic()))
            met, did = getattr(self, fault.what)(fault)
            self.hits[fault.what] += bool(met)
            self.log.append({"at": round(monotonic() - start, 1), "what": fault.what, "did": did})

    def make_peace(self) -> None:
        for timer in self._timers:
            timer.cancel()
        for name in SUBSCRIPTIONS:
            self._pause(name, paused=False)
        self.stage.heal()
        for what, spell in self._spells:
            self.hits[what] += spell.met > 0

    # Deaths.

    def kill_pool_child(self, fault: Fault) -> tuple[int, str]:
        name = WORKERS[fault.target]
        self._lurk(name)
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
        """The postmaster and every backend, in the middle of whatever they do."""
        self._lurk(WEBS[fault.target])
        return self.stage.keeper.send("postgres", signal.SIGKILL), "postgres"

    def kill_redis(self, fault: Fault) -> tuple[int, str]:
        return self.stage.keeper.send("redis", signal.SIGKILL), "redis"

    def kill_pooler(self, fault: Fault) -> tuple[int, str]:
        """With all of its connections, to both sides."""
        self._lurk(WEBS[fault.target])
        return self.stage.keeper.send("pgbouncer", signal.SIGKILL), "pgbouncer"

    def pause_subscription(self, fault: Fault) -> tuple[int, str]:
        """For longer than a worker waits before it takes notes of what it begins."""
        name = SUBSCRIPTIONS[fault.target]
        self._pause(name, paused=True)
        self._after(PAUSED_SECONDS, lambda: self._pause(name, paused=False))
        return 1, f"{name} for {PAUSED_SECONDS} s"

    def deploy(self, fault: Fault) -> tuple[int, str]:
        """Everybody of ours in good order, one after another, and another one in its place."""
        asked = sum(
            self.stage.keeper.ask(name, signal.SIGTERM)
            for name in (*WORKERS, "beat", WEBS[fault.target])
        )
        return asked, f"{asked} programs were asked to go, and followed by others"

    # Sleep: not dead, and not there.

    def stop_worker(self, fault: Fault) -> tuple[int, str]:
        return self._stop(WORKERS[fault.target], fault.seconds)

    def stop_web(self, fault: Fault) -> tuple[int, str]:
        return self._stop(WEBS[fault.target], fault.seconds)

    # The network.

    def reset_database(self, fault: Fault) -> tuple[int, str]:
        side = ("web", "worker")[fault.target]
        self._lurk((WEBS, WORKERS)[fault.target][0])
        cut = self._reset(side)
        return cut, f"{cut} connections of {side}"

    # Whom these two met is known when they are over.

    def silence_database(self, fault: Fault) -> tuple[int, str]:
        self._spells.append((fault.what, self.stage.proxies["worker"].fall_silent(fault.seconds)))
        return 0, f"all connections of worker for {fault.seconds} s"

    def slow_database(self, fault: Fault) -> tuple[int, str]:
        side = ("web", "worker")[fault.target]
        self._spells.append((fault.what, self.stage.proxies[side].slow_down(0.03, fault.seconds)))
        return 0, f"30 ms more on all connections of {side} for {fault.seconds} s"

    def reset_broker(self, fault: Fault) -> tuple[int, str]:
        cut = self._reset("broker")
        return cut, f"{cut} connections"

    # What is in them.

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
        """As a broker that redelivers: many workers told of the same work at once."""
        sent = self._send_tasks("eventstore.deliver", COPIES)
        return sent, f"{sent} copies"

    def poison(self, fault: Fault) -> tuple[int, str]:
        """A message that nobody can read, owed to a busy subscription; and a task that nobody
        knows."""
        key, id_ = f"poison-{len(self.poisoned)}", str(uuid4())
        outgoing = {
            "topic": "payments",
            "key": key,
            "type": "chaos.poison",
            "id": id_,
            "payload": {},
        }
        message = outgoing | {"metadata": {"correlation_id": id_}}
        told = 0
        with suppress(psycopg.Error), self._connected() as connection:
            connection.execute("SELECT eventstore_append(NULL, %s::json)", [json.dumps([message])])
            told = 1
        self.poisoned += [key] * told
        self._send_tasks("chaos.nobody_knows", 1)
        return told, key

    def idle_transaction(self, fault: Fault) -> tuple[int, str]:
        """Somebody else's, open and idle in the same database, with a transaction id."""
        with suppress(psycopg.OperationalError):
            stranger = self._connected()
            stranger.execute("SELECT pg_current_xact_id()")
            self._after(IDLE_SECONDS, stranger.close)
            return 1, f"{IDLE_SECONDS} s"
        return 0, "the database was down"

    def hot_stream(self, fault: Fault) -> tuple[int, str]:
        """Many events of one stream at once, among all the others."""
        written = 0
        with suppress(psycopg.Error), self._connected() as connection:
            for _ in range(HOT_BATCHES):
                events = json.dumps(list(_deliveries(HOT_BATCH)))
                connection.execute("SELECT eventstore_append_open(%s::json, NULL)", [events])
                connection.commit()
                written += HOT_BATCH
        return written, f"{written} events of stock-{HOT}"

    def webhooks(self, fault: Fault) -> tuple[int, str]:
        """The provider tells what it has done: again, out of order, before its own answer; and
        somebody else lies."""
        with suppress(psycopg.Error), self._connected() as connection:
            told = webhooks.tell(connection, self.stage.urls, self.random)
            self.hits["forgeries_believed"] += told["believed"]
            self.hits["webhooks_heard"] += told["heard"]
            return told["heard"], ", ".join(
                f"{count} {what}" for what, count in sorted(told.items())
            )
        return 0, "the database was down"

    # Clocks.

    def jump_clock(self, fault: Fault) -> tuple[int, str]:
        if not self.stage.clock.library:
            return 0, f"{NOT_RUN}libfaketime is not installed"
        seconds = (3600, -7200)[fault.target]
        self.stage.clock.jump(seconds)
        self._after(fault.seconds, self.stage.clock.set_right)
        return 1, f"{seconds:+d} s for {fault.seconds} s"

    # How.

    def _kill(self, name: str) -> tuple[int, str]:
        self._lurk(name)
        return self.stage.keeper.send(name, signal.SIGKILL), name

    def _stop(self, name: str, seconds: float) -> tuple[int, str]:
        self._lurk(name)
        stopped = self.stage.keeper.send(name, signal.SIGSTOP)
        self._after(seconds, lambda: self.stage.keeper.send(name, signal.SIGCONT))
        return stopped, f"{name} for {seconds} s"

    def _pause(self, name: str, *, paused: bool) -> None:
        with self._connected() as connection:
            connection.execute(
                "UPDATE eventstore_subscription SET paused = %s WHERE name = %s", [paused, name]
            )

    def _reset(self, side: str) -> int:
        """Of connections, and so not while nobody has come back from the reset before."""
        proxy = self.stage.proxies[side]
        _until(lambda: proxy.connections)
        return proxy.reset()

    def _connected(self) -> psycopg.Connection:
        """To the database, which may have been killed a moment ago."""
        connect = partial(
            psycopg.connect, self.stage.database, application_name="stranger", connect_timeout=2
        )
        until = monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return connect()
            except psycopg.OperationalError:
                if monotonic() > until:
                    raise
                sleep(0.2)

    def _lurk(self, name: str) -> None:
        """Until the victim has a transaction open, or patience is over."""
        until = monotonic() + LURKING_SECONDS
        while monotonic() < until:
            if open_now := self.stage.transactions_of(name):
                self.hits["struck_in_a_transaction"] += 1
                self.hits["transactions_struck"] += open_now
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


def _until(there: Callable[[], object]) -> None:
    until = monotonic() + LURKING_SECONDS
    while not there() and monotonic() < until:
        sleep(0.05)


def _deliveries(count: int) -> Iterator[dict[str, object]]:
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
