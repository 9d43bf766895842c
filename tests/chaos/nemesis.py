"""Carries out the plan, and counts what it has really hit."""

import json
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from threading import Timer
from time import monotonic, sleep
from uuid import uuid4

import psutil
import psycopg
import redis
from celery import Celery

from .plan import Fault
from .stage import WEBS, WORKERS, Stage

# How long a kill waits for its victim to be in the middle of something.
LURKING_SECONDS = 1.5
COPIES = 30


class Nemesis:
    """log: what was done and when. hits: what of it met somebody at work."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self.stage, self.random = stage, Random(f"nemesis {seed}")
        self.log: list[dict[str, object]] = []
        self.hits: Counter[str] = Counter()
        self.poisoned: list[str] = []
        self._timers: list[Timer] = []

    def carry_out(self, plan: Sequence[Fault], start: float) -> None:
        for fault in plan:
            sleep(max(0.0, start + fault.at - monotonic()))
            said = getattr(self, fault.what)(fault)
            self.log.append({"at": round(monotonic() - start, 1), "what": fault.what, "did": said or ""})

    def make_peace(self) -> None:
        for timer in self._timers:
            timer.cancel()
        self.stage.heal()

    # Deaths.

    def kill_pool_child(self, fault: Fault) -> str:
        name = WORKERS[fault.target]
        self._lurk(name)
        children = sorted(self.stage.pool_children(name), key=lambda child: child.pid)
        if not children:
            return "there was none"
        with suppress(psutil.NoSuchProcess):
            self.random.choice(children).kill()
        return name

    def kill_worker(self, fault: Fault) -> str:
        return self._kill(WORKERS[fault.target])

    def kill_web(self, fault: Fault) -> str:
        return self._kill(WEBS[fault.target])

    def kill_beat(self, fault: Fault) -> str:
        self.stage.keeper.send("beat", signal.SIGKILL)
        return "beat"

    def kill_postgres(self, fault: Fault) -> str:
        """The postmaster and every backend, in the middle of whatever they do."""
        self._lurk(WEBS[fault.target])
        self.stage.keeper.send("postgres", signal.SIGKILL)
        return "postgres"

    def kill_redis(self, fault: Fault) -> str:
        self.stage.keeper.send("redis", signal.SIGKILL)
        return "redis"

    # Sleep: not dead, and not there.

    def stop_worker(self, fault: Fault) -> str:
        return self._stop(WORKERS[fault.target], fault.seconds)

    def stop_web(self, fault: Fault) -> str:
        return self._stop(WEBS[fault.target], fault.seconds)

    # The network.

    def reset_database(self, fault: Fault) -> str:
        proxy = self.stage.proxies[("web", "worker")[fault.target]]
        self._lurk((WEBS, WORKERS)[fault.target][0])
        proxy.reset()
        return f"all connections of {('web', 'worker')[fault.target]}"

    def silence_database(self, fault: Fault) -> str:
        self.stage.proxies["worker"].fall_silent(fault.seconds)
        return f"{fault.seconds} s"

    def slow_database(self, fault: Fault) -> str:
        self.stage.proxies[("web", "worker")[fault.target]].slow_down(0.03, fault.seconds)
        return f"30 ms more for {fault.seconds} s"

    def reset_broker(self, fault: Fault) -> None:
        self.stage.proxies["broker"].reset()

    # What is in them.

    def flush_broker(self, fault: Fault) -> str:
        with suppress(redis.RedisError), redis.Redis.from_url(self.stage.broker, socket_timeout=2) as broker:
            waiting = broker.dbsize()
            broker.flushall()
            return f"{waiting} keys were in it"
        return "it was down"

    def copy_tasks(self, fault: Fault) -> str:
        """As a broker that redelivers: many workers told of the same work at once."""
        return self._send_tasks("eventstore.deliver", COPIES)

    def poison(self, fault: Fault) -> str:
        """A message that nobody can read, owed to a busy lane; and a task that nobody knows."""
        key, id_ = f"poison-{len(self.poisoned)}", str(uuid4())
        owed = {"topic": "payments", "key": key, "type": "chaos.poison", "id": id_, "payload": {}}
        message = owed | {"metadata": {"correlation_id": id_}}
        with suppress(psycopg.Error), psycopg.connect(self.stage.database, connect_timeout=2) as connection:
            connection.execute("SELECT eventstore_append(NULL, %s::json)", [json.dumps([message])])
            self.poisoned.append(key)
        self._send_tasks("chaos.nobody_knows", 1)
        return key

    def idle_transaction(self, fault: Fault) -> str:
        """Somebody else's, open and idle in the same database, with a transaction id."""
        with suppress(psycopg.Error):
            stranger = psycopg.connect(self.stage.database, application_name="stranger", connect_timeout=2)
            stranger.execute("SELECT pg_current_xact_id()")
            self._after(fault.seconds * 2, stranger.close)
            return f"{fault.seconds * 2} s"
        return "the database was down"

    # Clocks.

    def jump_clock(self, fault: Fault) -> str:
        if not self.stage.clock.library:
            return "not run: libfaketime is not installed"
        seconds = (3600, -7200)[fault.target]
        self.stage.clock.jump(seconds)
        self._after(fault.seconds, self.stage.clock.set_right)
        self.hits["clock_jumps"] += 1
        return f"{seconds:+d} s for {fault.seconds} s"

    # How.

    def _kill(self, name: str) -> str:
        self._lurk(name)
        self.stage.keeper.send(name, signal.SIGKILL)
        return name

    def _stop(self, name: str, seconds: float) -> str:
        self._lurk(name)
        self.stage.keeper.send(name, signal.SIGSTOP)
        self._after(seconds, lambda: self.stage.keeper.send(name, signal.SIGCONT))
        return f"{name} for {seconds} s"

    def _lurk(self, name: str) -> None:
        """Until the victim has a transaction open, or patience is over."""
        until = monotonic() + LURKING_SECONDS
        while monotonic() < until:
            if open_now := self.stage.transactions_of(name):
                self.hits["struck_in_a_transaction"] += 1
                self.hits["transactions_struck"] += open_now
                return

    def _send_tasks(self, name: str, count: int) -> str:
        sent = 0
        with suppress(Exception), Celery(broker=self.stage.broker).connection_for_write() as connection:
            producer = connection.Producer(serializer="json")
            for _ in range(count):
                headers = {"id": str(uuid4()), "task": name, "lang": "py"}
                producer.publish(([], {}, {}), routing_key="celery", headers=headers, declare=[])
                sent += 1
        self.hits["tasks_injected"] += sent
        return f"{sent} copies"

    def _after(self, seconds: float, action: object) -> None:
        timer = Timer(seconds, action)  # type: ignore[arg-type]
        timer.daemon = True
        timer.start()
        self._timers.append(timer)
