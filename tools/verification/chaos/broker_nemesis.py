"""Injects faults of Kafka and RabbitMQ, of the relays and of the consumers."""

import signal
from collections.abc import Sequence
from contextlib import suppress
from time import monotonic, sleep

import psutil
import psycopg

from tools.verification.chaos.brokers import Brokers
from tools.verification.chaos.capture import NAME as CONNECT
from tools.verification.chaos.nemesis import AMBUSH_SECONDS, Nemesis
from tools.verification.chaos.plan import Fault
from tools.verification.chaos.stage import CONSUMING, WORKERS, Stage

# Longer than the lease of a relay (15 s): another one has taken over when it wakes.
ZOMBIE_SECONDS = 18.0
# How long a fault of a relay waits for a relay that publishes.
LONG_AMBUSH_SECONDS = 30.0
# How long a fault of a broker waits for the broker: on a busy machine it starts slowly.
BACK_SECONDS = 60.0
# A process publishes just now if it holds a lease whose batch has not moved the cursor.
PUBLISHING = "SELECT holder FROM eventstore_relay WHERE until > now() AND token > settled"

BROKER_DECK = {
    "kill_kafka": 2,
    "kill_rabbitmq": 2,
    "stop_kafka": 1,
    "stop_rabbitmq": 1,
    "kill_relay": 4,
    "stop_relay": 2,
    "kill_consumer": 4,
    "stop_consumer": 2,
    "reset_kafka": 2,
    "reset_rabbitmq": 2,
    "silence_kafka": 1,
    "silence_rabbitmq": 1,
    "fill_rabbitmq": 1,
}
# With Debezium also these.
CAPTURE_DECK = {"kill_connect": 4, "stop_connect": 1, "hand_over": 2}
HANDED_OVER = "orders.published"


class BrokerNemesis(Nemesis):
    def __init__(self, stage: Stage, seed: int) -> None:
        super().__init__(stage, seed)
        assert stage.brokers is not None
        self.brokers: Brokers = stage.brokers
        self._stopped: list[psutil.Process] = []

    def run_plan(self, plan: Sequence[Fault], start: float) -> None:
        """Without the faults whose turn comes when the load is over, because earlier ones have
        waited for a broker."""
        for fault in plan:
            if monotonic() <= start + plan[-1].at:
                super().run_plan([fault], start)

    def kill_kafka(self, fault: Fault) -> tuple[int, str]:
        return self._kill_broker("kafka")

    def kill_rabbitmq(self, fault: Fault) -> tuple[int, str]:
        return self._kill_broker("rabbitmq")

    def stop_kafka(self, fault: Fault) -> tuple[int, str]:
        self._await_broker("kafka")
        return self._stop("kafka", fault.seconds)

    def stop_rabbitmq(self, fault: Fault) -> tuple[int, str]:
        self._await_broker("rabbitmq")
        return self._stop("rabbitmq", fault.seconds)

    def kill_relay(self, fault: Fault) -> tuple[int, str]:
        """The pool process of a worker that publishes a batch."""
        process = self._await_relay(LONG_AMBUSH_SECONDS)
        if process is None:
            return 0, "none published"
        with suppress(psutil.NoSuchProcess):
            process.kill()
        self.hits["killed_while_publishing"] += 1
        return 1, f"process {process.pid}"

    def stop_relay(self, fault: Fault) -> tuple[int, str]:
        """In the middle of a batch, until another one has taken over."""
        process = self._await_relay(LONG_AMBUSH_SECONDS)
        if process is None:
            return 0, "none published"
        with suppress(psutil.NoSuchProcess):
            process.suspend()
        self._after(ZOMBIE_SECONDS, lambda: _resume(process))
        self._stopped.append(process)
        return 1, f"process {process.pid} for {ZOMBIE_SECONDS} s"

    def kill_consumer(self, fault: Fault) -> tuple[int, str]:
        return self._kill(CONSUMING[fault.target])

    def stop_consumer(self, fault: Fault) -> tuple[int, str]:
        """Longer than a session of Kafka in half of the cases."""
        return self._stop(CONSUMING[fault.target], fault.seconds)

    def reset_kafka(self, fault: Fault) -> tuple[int, str]:
        return self._reset_broker("kafka")

    def reset_rabbitmq(self, fault: Fault) -> tuple[int, str]:
        return self._reset_broker("rabbitmq")

    def silence_kafka(self, fault: Fault) -> tuple[int, str]:
        return self._silence("kafka", fault)

    def silence_rabbitmq(self, fault: Fault) -> tuple[int, str]:
        return self._silence("rabbitmq", fault)

    def fill_rabbitmq(self, fault: Fault) -> tuple[int, str]:
        """Its alarm for a full disk, by a limit above the size of any disk."""
        self._await_broker("rabbitmq")
        alarms = self.brokers.alarm(fault.seconds)
        return int("disk" in alarms), f"{alarms or 'it did not answer'}, for {fault.seconds} s"

    def kill_connect(self, fault: Fault) -> tuple[int, str]:
        """Kafka Connect, while it reads."""
        state = self._await_capture()
        return self.stage.keeper.send(CONNECT, signal.SIGKILL), f"its task was {state or 'absent'}"

    def stop_connect(self, fault: Fault) -> tuple[int, str]:
        self._await_capture()
        return self._stop(CONNECT, fault.seconds)

    def hand_over(self, fault: Fault) -> tuple[int, str]:
        """To the relay and back to Debezium."""
        assert self.stage.capture is not None
        self._await_broker("kafka")
        self._await_capture()
        done, outputs = 0, []
        for way in ("relay", "cdc"):
            ok, output = self.stage.capture.move(self.stage.command_settings(), HANDED_OVER, way)
            done += ok
            outputs.append(output)
        return int(done == 2), "; ".join(outputs)

    def stop_faults(self) -> None:
        for process in self._stopped:
            _resume(process)
        super().stop_faults()

    def _kill_broker(self, name: str) -> tuple[int, str]:
        self._await_broker(name)
        self._await_relay()
        return self.stage.keeper.send(name, signal.SIGKILL), name

    def _reset_broker(self, name: str) -> tuple[int, str]:
        self._await_broker(name)
        self._await_relay()
        cut = self._reset(name)
        return cut, f"{cut} connections"

    def _silence(self, side: str, fault: Fault) -> tuple[int, str]:
        self._await_broker(side)
        disturbance = self.stage.proxies[side].fall_silent(fault.seconds)
        self._disturbances.append((fault.what, disturbance))
        return 0, f"all connections of {side} for {fault.seconds} s"

    def _await_broker(self, name: str) -> None:
        """Until it is back after the previous fault, for BACK_SECONDS at most."""
        until = monotonic() + BACK_SECONDS
        while not self.brokers.answers(name) and monotonic() < until:
            sleep(0.2)

    def _await_capture(self) -> str:
        """Until Debezium reads, for BACK_SECONDS at most. Returns the state of its task."""
        assert self.stage.capture is not None
        until = monotonic() + BACK_SECONDS
        while (state := self.stage.capture.state()) != "RUNNING" and monotonic() < until:
            sleep(0.2)
        return state

    def _await_relay(self, seconds: float = AMBUSH_SECONDS) -> psutil.Process | None:
        """A process of a worker that publishes just now; None after so many seconds."""
        with suppress(psycopg.Error), self._connected() as connection:
            connection.autocommit = True
            until = monotonic() + seconds
            while monotonic() < until:
                holders = connection.execute(PUBLISHING).fetchall()
                if holders and (found := self._pool_child(int(holders[0][0].split(":")[1]))):
                    return found
                sleep(0.005)
        return None

    def _pool_child(self, pid: int) -> psutil.Process | None:
        children = (each for name in WORKERS for each in self.stage.pool_children(name))
        return next((each for each in children if each.pid == pid), None)


def _resume(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.resume()
