"""A relay carries a publication to one broker, in a thread of its own.

It reads and translates a batch, takes a lease in one statement, publishes outside of any
transaction, and moves its cursor in another statement, behind the contiguous prefix of what the
broker has acknowledged. See docs/adr/0032-relays-are-subscriptions.md.
"""

import atexit
import logging
import threading
import time
from collections.abc import Iterable
from contextlib import nullcontext, suppress
from functools import partial

from django.db import Error, close_old_connections

from eventstore import postgres, registry
from eventstore.log import epochs
from eventstore.outbox import cursors, parked
from eventstore.postgres import atomic
from eventstore.subscriptions import Relay

from . import brokers, relay_batch, relay_leases
from .cdc import outbox, ways
from .publisher import Translator
from .relay_batch import Load
from .relay_leases import RelayLease
from .transport import Batch, BrokerProblem, Refused, Sent, Transport

logger = logging.getLogger(__name__)

BATCH = 2000
# How long a broker is waited for; well within the lease.
PUBLISH_SECONDS = 9.0
# How long a relay that has just published keeps the lease and its connection to the database.
LINGER_SECONDS = 2.0
# A process with such a relay looks for its messages so often: the wake-up may go to another one.
LOOK_SECONDS = 0.02
# How long a relay rests after a failure, doubled each time; and where another process holds it.
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.2, 5.0
HELD_ELSEWHERE_SECONDS = 0.5
STOP_SECONDS = 12.0


class LeaseLost(Exception):
    """Another process has taken the relay over, or an operator has moved its cursor."""


class Pump:
    """The thread of one relay. asked, done: how often it was asked to look, and how many of these
    requests a look has answered. linger: how long it waits for the next one."""

    def __init__(self, name: str, relay: Relay) -> None:
        self.name, self.relay = name, relay
        self.asked = self.done = self.moved = self.failures = 0
        self.linger = LINGER_SECONDS
        self.rest_until = 0.0
        self.translator = Translator(relay.publication)
        # The next batch, read while the broker acknowledged the one before.
        self.ahead: Load | None = None
        # token: of the last batch. holds: whether no other process has had the lease since.
        self.token: int | None = None
        self.holds = False
        # What the broker has refused, by position, until it is parked: it is not asked again when
        # the rest of the batch fails.
        self.refused: dict[int, Exception] = {}
        self.transport: Transport | None = None
        self.stopping = False
        self.thread: threading.Thread | None = None
        self.state = threading.Condition()

    @property
    def is_resting(self) -> bool:
        return time.monotonic() < self.rest_until

    @property
    def is_busy(self) -> bool:
        return self.done < self.asked

    @property
    def is_lingering(self) -> bool:
        return self.thread is not None and not self.is_resting

    def look(self) -> None:
        """Ask for one more look."""
        with self.state:
            if self.is_resting or self.stopping:
                return
            self.asked += 1
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self.thread.start()
            self.state.notify_all()

    def take_moved(self) -> int:
        """How many messages moved since the last call."""
        with self.state:
            moved, self.moved = self.moved, 0
            return moved

    def stop(self) -> None:
        with self.state:
            self.stopping = True
            self.state.notify_all()
            thread = self.thread
        if thread is not None and thread.is_alive():
            thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while True:
            while not self.stopping:
                wanted = self.asked
                self._look_once()
                with self.state:
                    self.done = self.asked if self.is_resting else max(self.done, wanted)
                    self.state.notify_all()
                    if self.is_resting or not self.state.wait_for(
                        lambda: self.is_busy or self.stopping, self.linger
                    ):
                        break
            # Another process may go on at once.
            self.ahead, self.holds = None, False
            if self.token is not None:
                with suppress(Error):
                    relay_leases.release(self.name, self.token)
            if self.stopping:
                self._drop_client()
            postgres.close()
            with self.state:
                if self.stopping or not self.is_busy:
                    self.thread = None
                    return

    def _look_once(self) -> None:
        """All batches until nothing lies ahead. Whatever fails is this relay's affair alone."""
        try:
            close_old_connections()
            while not self.stopping and (taken := self._batch()) is not None:
                with self.state:
                    self.moved += taken
            self.failures = 0
            return
        except (LeaseLost, epochs.EpochOver) as error:
            logger.info("%s: %s", self.name, error)
            self.holds = False
            self._drop_client()
        except BrokerProblem as error:
            logger.warning("%s: %s: %s", self.name, type(error).__name__, error)
            self._fail(error)
        except Exception as error:  # noqa: BLE001  a thread that ended would never relay again
            logger.exception("%s: publishing a batch failed", self.name)
            self._fail(error)
        self.ahead = None

    def _batch(self) -> int | None:
        """One batch: how many messages moved; None when nothing lies ahead."""
        load, self.ahead = self.ahead or self._prepare(), None
        if load is None:
            return None
        lease = relay_leases.take(self.name, load.claim.position)
        self.holds = lease is not None
        if lease is None:
            self._rest(HELD_ELSEWHERE_SECONDS)
            return None
        self.token = lease.token
        if load.problem is not None:
            raise load.problem
        is_cdc = lease.way == ways.CDC
        sent = self._accept(load, lease) if is_cdc else self._publish(load, lease)
        moved = self._settle(load, sent, is_cdc=is_cdc)
        if sent.problem is not None:
            raise sent.problem
        return moved

    def _prepare(self, *, after: int | None = None) -> Load | None:
        """Read and encode a batch. after: in place of the cursor's position."""
        if not self.holds and relay_leases.is_held_elsewhere(self.name):
            self._rest(HELD_ELSEWHERE_SECONDS)
            return None
        claimed = relay_leases.peek(self.name, after=after)
        if claimed is None:
            return None
        due = parked.due(self.name, BATCH) if claimed.parked else []
        if claimed.until == claimed.position and not due:
            return None
        messages = cursors.read(self.name, claimed, BATCH)
        is_full = len(messages) == BATCH
        streams = {message.stream for message in messages}
        load = Load(
            claim=claimed,
            until=messages[-1].position if is_full else claimed.until,
            is_full=is_full,
            messages=[*cursors.read_at(self.name, [each.position for each in due]), *messages],
            due={each.position: each.attempts for each in due},
            held=frozenset(parked.held(self.name, streams)) if claimed.parked else frozenset(),
        )
        load.encode(self.translator, self._client().prepare)
        return load

    def _accept(self, load: Load, lease: RelayLease) -> Sent:
        """For change data capture: all of it will be rows, in the commit that moves the cursor."""
        outbox.demand_room(self.name, lease.pending, lease.pending_bytes)
        for position, prepared in load.outgoing():
            try:
                load.prepared[position] = [outbox.row(position, each) for each in prepared]
            except Refused as error:
                load.refused[position] = error
        return Sent(frozenset(each.position for each in load.outgoing()))

    def _publish(self, load: Load, lease: RelayLease) -> Sent:
        deadline = time.monotonic() + PUBLISH_SECONDS
        for position, error in self.refused.items():
            if position in load.prepared:
                load.refused[position] = error
        meanwhile = partial(self._read_ahead, load)
        while True:
            batch = Batch(
                relay=self.name,
                mark=epochs.mark(),
                token=lease.token,
                settled=lease.settled,
                deadline=deadline,
                messages=load.outgoing(),
            )
            sent = self._client().send(batch, meanwhile)
            refused: dict[int, Refused] = dict(sent.refused)
            load.refused.update(refused)
            self.refused.update(refused)
            if not sent.again:
                return sent

    def _read_ahead(self, load: Load) -> None:
        """The next batch, for a relay that is far behind."""
        if not load.is_full or load.claim.parked or self.ahead is not None:
            return
        try:
            ahead = self._prepare(after=load.until)
        except Exception as error:  # noqa: BLE001  whichever: it comes again when it is needed
            logger.info("%s could not read ahead: %s", self.name, error)
            return
        if ahead is not None and not ahead.claim.parked:
            self.ahead = ahead

    def _settle(self, load: Load, sent: Sent, *, is_cdc: bool = False) -> int:
        """What is acknowledged is passed, what is refused is parked, and so is what waits behind
        it. The rest is published again."""
        assert self.token is not None
        done = sent.acknowledged
        places, position = relay_batch.passed(load, done)
        is_plain = not (load.due or load.refused or places or is_cdc)
        with nullcontext() if is_plain else atomic():
            if not relay_leases.settle(self.name, self.token, load.claim.position, position):
                raise LeaseLost("another process has it, or its cursor was moved")
            if is_cdc:
                outbox.write(self.name, load.outgoing())
            parked.settle(self.name, {at: load.due[at] for at in load.due if at in done})
            parked.postpone(self.name, relay_batch.postponed(load))
            parked.park(self.name, places)
            if places:
                # What they wait behind may have been settled or discarded since the batch was read.
                parked.wake(self.name, sorted({each.key for each in places}))
        if not is_plain or position != load.until:
            self.ahead = None
        for at in [at for at in self.refused if at <= position]:
            del self.refused[at]
        for at, error in load.refused.items():
            logger.warning("%s cannot publish %s: %r", self.name, at, error)
        return len(done) + len(places)

    def _client(self) -> Transport:
        if self.transport is None:
            self.transport = brokers.transport(self.relay.broker, self.name)
        return self.transport

    def _drop_client(self) -> None:
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.close()

    def _fail(self, error: Exception) -> None:
        self._drop_client()
        self.failures += 1
        rest = FIRST_REST_SECONDS * 2 ** min(self.failures - 1, 10)
        self._rest(min(rest, LONGEST_REST_SECONDS))
        if self.token is not None:
            with suppress(Error):
                relay_leases.fail(self.name, self.token, f"{type(error).__name__}: {error}")

    def _rest(self, seconds: float) -> None:
        self.rest_until = time.monotonic() + seconds


class Pumps:
    """The relays of one process, and a thread that looks for their messages while one lingers."""

    def __init__(self) -> None:
        self.by_name: dict[str, Pump] = {}
        self.watch: Watch | None = None
        self.lock = threading.Lock()

    def step(self, name: str, relay: Relay) -> int:
        """Ask the relay to look, and look for its further messages as long as it lingers. Returns
        how many messages it has moved since it was last asked."""
        moved = self.ask(name, relay)
        with self.lock:
            if self.watch is None or not self.watch.is_alive():
                self.watch = Watch(self)
                self.watch.start()
        return moved

    def ask(self, name: str, relay: Relay, *, linger: float = LINGER_SECONDS) -> int:
        """As step, for a process that looks for the further messages itself."""
        if name not in self.by_name:
            self.by_name[name] = Pump(name, relay)
        pump = self.by_name[name]
        pump.linger = linger
        pump.look()
        return pump.take_moved()

    def unavailable(self, names: Iterable[str]) -> set[str]:
        """Those of the subscriptions that are relays at work or at rest. One at work looks once
        more before it ends."""
        found = {name: self.by_name[name] for name in names if name in self.by_name}
        for pump in found.values():
            if pump.is_busy:
                pump.look()
        return {name for name, pump in found.items() if pump.is_busy or pump.is_resting}

    def under_way(self) -> bool:
        return any(pump.is_busy for pump in tuple(self.by_name.values()))

    def wait(self, seconds: float) -> None:
        """Until a relay has done what it was asked, or so long."""
        busy = next((pump for pump in tuple(self.by_name.values()) if pump.is_busy), None)
        if busy is not None:
            with busy.state:
                busy.state.wait_for(lambda: not busy.is_busy, seconds)

    def stop(self) -> None:
        """End all threads of relays, and release what they hold."""
        for name in tuple(self.by_name):
            self.by_name.pop(name).stop()
        with self.lock:
            thread = self.watch
        if thread is not None:
            thread.join(STOP_SECONDS)


class Watch(threading.Thread):
    """Looks for the messages of relays, as long as one of them lingers in this process."""

    def __init__(self, pumps: Pumps) -> None:
        super().__init__(name="relays", daemon=True)
        self.pumps = pumps

    def run(self) -> None:
        try:
            while True:
                with self.pumps.lock:
                    if not any(pump.is_lingering for pump in tuple(self.pumps.by_name.values())):
                        self.pumps.watch = None
                        return
                time.sleep(LOOK_SECONDS)
                close_old_connections()
                for name in cursors.look():
                    if (pump := self.pumps.by_name.get(name)) and not pump.is_busy:
                        pump.look()
        except Error as error:
            logger.warning("cannot look for the messages of relays: %s", error)
        finally:
            postgres.close()


# Threads that publish, so one for the process: whatever asks a relay to look asks the same one.
this_process = Pumps()
atexit.register(this_process.stop)


def published_by(broker: str) -> dict[str, list[str]]:
    """The relays to a broker, each with the types that its context publishes."""
    return {
        name: [type_ for type_ in registry.published_types() if _context(type_) == _context(name)]
        for name, relay in registry.of_kind(Relay).items()
        if relay.broker == broker
    }


def _context(name: str) -> str:
    return name.partition(".")[0]
