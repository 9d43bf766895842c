"""A relay carries a publication to one broker, in a thread of its own.

It takes a lease in one short transaction, publishes outside of any, and moves its cursor in
another, behind the contiguous prefix of what the broker has acknowledged. See
docs/adr/0032-relays-are-subscriptions.md.
"""

import atexit
import logging
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from django.db import Error, close_old_connections

from eventstore import postgres, registry
from eventstore.log import epochs
from eventstore.messages import Message
from eventstore.outbox import cursors, parked
from eventstore.outbox.cursors import Claim
from eventstore.outbox.parked import ParkedMessage
from eventstore.postgres import atomic
from eventstore.subscriptions import Relay

from . import brokers, publisher, relay_leases
from .event_bus import Envelope
from .relay_leases import RelayLease
from .transport import Batch, BrokerProblem, Outgoing, Sent, TooLarge, Transport

logger = logging.getLogger(__name__)

BATCH = 2000
# A broker that answers at once is waited for, so that a worker sees what it has done.
PROMPT_SECONDS = 0.01
# How long a broker is waited for; well within the lease.
PUBLISH_SECONDS = 9.0
# A relay that has just published looks again so often, for so long: a new client, and a new holder
# of the lease, cost more than the looks.
LOOK_SECONDS = 0.02
LINGER_SECONDS = 2.0
# How long a relay rests after a failure, doubled each time; and where another process holds it.
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 0.2, 5.0
HELD_ELSEWHERE_SECONDS = 0.5
STOP_SECONDS = 12.0


class LeaseLost(Exception):
    """Another process has taken the relay over, or an operator has moved its cursor."""


@dataclass
class Load:
    """What one batch takes. due: position -> attempts of the parked messages that are tried again.
    envelopes: of each position, or the error that the translation raised. held: keys behind which
    new messages wait."""

    claim: Claim
    lease: RelayLease
    until: int
    deadline: float
    messages: Sequence[Message]
    due: Mapping[int, int]
    held: frozenset[str]
    envelopes: dict[int, Sequence[Envelope]] = field(default_factory=dict)
    refused: dict[int, Exception] = field(default_factory=dict)


class Pump:
    """The thread of one relay. asked, done: how often a worker has asked it to look, and how many
    of these requests a look has answered."""

    def __init__(self, name: str, relay: Relay) -> None:
        self.name, self.relay = name, relay
        self.asked = self.done = self.moved = self.failures = 0
        self.rest_until = 0.0
        self.token: int | None = None
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

    def look(self, seconds: float = 0.0) -> int:
        """Ask for one more look, and wait so long for its end. Returns how many messages moved."""
        with self.state:
            if self.is_resting or self.stopping:
                return 0
            self.asked += 1
            wanted = self.asked
            if self.thread is None or not self.thread.is_alive():
                self.thread = threading.Thread(target=self._run, name=self.name, daemon=True)
                self.thread.start()
            self.state.notify_all()
            self.state.wait_for(lambda: self.done >= wanted, seconds)
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
            self._serve()
            self._leave()
            with self.state:
                if self.stopping or not self.is_busy:
                    self.thread = None
                    return

    def _serve(self) -> None:
        linger_until = 0.0
        while not self.stopping:
            wanted = self.asked
            if self._look_once():
                linger_until = time.monotonic() + LINGER_SECONDS
            with self.state:
                self.done = self.asked if self.is_resting else max(self.done, wanted)
                self.state.notify_all()
                if self.is_busy:
                    continue
                if self.is_resting or time.monotonic() > linger_until:
                    return
                self.state.wait(LOOK_SECONDS)

    def _look_once(self) -> int:
        """All batches until nothing lies ahead. Whatever fails is this relay's affair alone."""
        moved = 0
        try:
            close_old_connections()
            while not self.stopping and (taken := self._batch()) is not None:
                moved += taken
                with self.state:
                    self.moved += taken
            self.failures = 0
        except (LeaseLost, epochs.EpochOver) as error:
            logger.info("%s: %s", self.name, error)
            self._drop_client()
        except BrokerProblem as error:
            logger.warning("%s: %s: %s", self.name, type(error).__name__, error)
            self._fail(error)
        except Exception as error:  # noqa: BLE001  a thread that ended would never relay again
            logger.exception("%s: publishing a batch failed", self.name)
            self._fail(error)
        return moved

    def _batch(self) -> int | None:
        """One batch: how many messages moved; None when nothing lies ahead."""
        load = self._begin()
        if load is None:
            return None
        self.token = load.lease.token
        self._translate(load)
        sent = self._publish(load)
        moved = self._settle(load, sent)
        if sent.problem is not None:
            raise sent.problem
        return moved

    def _begin(self) -> Load | None:
        deadline = time.monotonic() + PUBLISH_SECONDS
        with atomic():
            claimed = cursors.claim(self.name)
            if claimed is None:
                return None
            due = parked.due(self.name, BATCH) if claimed.parked else []
            if claimed.until == claimed.position and not due:
                return None
            lease = relay_leases.take(self.name)
            if lease is None:
                self._rest(HELD_ELSEWHERE_SECONDS)
                return None
            messages = cursors.read(self.name, claimed, BATCH)
            until = messages[-1].position if len(messages) == BATCH else claimed.until
            held = parked.held(self.name, {message.stream for message in messages})
            again = cursors.read_at(self.name, [each.position for each in due])
        return Load(
            claim=claimed,
            lease=lease,
            until=until,
            deadline=deadline,
            messages=[*again, *messages],
            due={each.position: each.attempts for each in due},
            held=frozenset(held) if claimed.parked else frozenset(),
        )

    def _translate(self, load: Load) -> None:
        handled = [each for each in load.messages if type(each.body) in self.relay.handles]
        histories = _histories(handled)
        for message in load.messages:
            try:
                load.envelopes[message.position] = self._envelopes(message, histories)
            except Exception as error:  # noqa: BLE001  it is this message's fault: it is parked
                load.refused[message.position] = error

    def _envelopes(self, message: Message, histories: Mapping[str, Any]) -> Sequence[Envelope]:
        history = histories.get(message.stream)
        for each in (message.body, history):
            if isinstance(each, Exception):
                raise each
        if history is None:  # an event whose type was unknown when it was parked
            return ()
        known = history[: message.version]
        return list(publisher.envelopes(self.relay.publication, message, known))

    def _publish(self, load: Load) -> Sent:
        transport = self._client()
        for position, envelopes in load.envelopes.items():
            refusals = filter(None, map(transport.refusal, envelopes))
            if refusal := next(refusals, None):
                load.refused[position] = refusal
        load.refused.update(
            {at: error for at, error in self.refused.items() if at in load.envelopes}
        )
        while True:
            messages = [
                Outgoing(each.position, load.envelopes[each.position]) for each in sendable(load)
            ]
            batch = Batch(
                self.name,
                epochs.mark(),
                load.lease.token,
                load.lease.settled,
                load.deadline,
                messages,
            )
            sent = transport.send(batch)
            load.refused.update(sent.refused)
            self.refused.update(sent.refused)
            if not sent.again:
                return sent

    def _settle(self, load: Load, sent: Sent) -> int:
        """What is acknowledged is passed, what is refused is parked, and so is what waits behind
        it. The rest is published again."""
        done = sent.acknowledged
        with atomic():
            cursors.hold(self.name)
            if not relay_leases.settle(self.name, load.lease.token, load.claim.position):
                raise LeaseLost("another process has it, or its cursor was moved")
            parked.settle(self.name, {at: load.due[at] for at in load.due if at in done})
            parked.postpone(
                self.name,
                [
                    _parked(at, error, attempts=load.due[at], token=load.due[at])
                    for at, error in load.refused.items()
                    if at in load.due
                ],
            )
            places, position = passed(load, done)
            parked.park(self.name, places)
            if position > load.claim.position:
                cursors.move(self.name, position)
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

    def _leave(self) -> None:
        """Let another process go on at once."""
        if self.token is not None:
            with suppress(Error):
                relay_leases.release(self.name, self.token)
        if self.stopping:
            self._drop_client()
        postgres.close()


def _histories(messages: Sequence[Message]) -> Mapping[str, Any]:
    """The events of each stream, or the error that kept them from being read."""
    try:
        return publisher.read_histories(messages)
    except Error:
        raise
    except Exception:  # noqa: BLE001  one stream cannot be read: find out which
        return {each.stream: _history(each) for each in messages}


def _history(message: Message) -> Any:
    try:
        return publisher.read_histories([message])[message.stream]
    except Error:
        raise
    except Exception as error:  # noqa: BLE001  the message is parked with it
        return error


def sendable(load: Load) -> Iterator[Message]:
    """In order: what is neither refused nor behind a message of its key that is."""
    held = set(load.held)
    for message in load.messages:
        is_new = message.position not in load.due
        if message.position in load.refused:
            held.add(message.stream)
        elif not (is_new and message.stream in held):
            yield message


def passed(load: Load, acknowledged: Iterable[int]) -> tuple[list[ParkedMessage], int]:
    """The messages to be parked, and how far the cursor may move: up to the first one that is
    neither acknowledged nor parked."""
    done, held = frozenset(acknowledged), set(load.held)
    places: list[ParkedMessage] = []
    position = load.claim.position
    for message in load.messages:
        if message.position in load.due:
            continue
        if message.stream in held:
            places.append(ParkedMessage(message.position, message.stream))
        elif error := load.refused.get(message.position):
            held.add(message.stream)
            places.append(_parked(message.position, error, attempts=0, key=message.stream))
        elif message.position not in done:
            return places, position
        position = message.position
    return places, load.until


def _parked(
    position: int, error: Exception, *, attempts: int, key: str = "", token: int = 0
) -> ParkedMessage:
    """What is too large is a dead letter at once: it stays too large."""
    attempts = parked.ATTEMPTS if isinstance(error, TooLarge) else attempts + 1
    return parked.failed(position, error, attempts=attempts, key=key, token=token)


_pumps: dict[str, Pump] = {}


def step(name: str, relay: Relay) -> int:
    """Ask the relay to look. Returns how many messages it has moved since it was last asked."""
    return _pump(name, relay).look(PROMPT_SECONDS)


def unavailable(names: Iterable[str]) -> set[str]:
    """Those of the subscriptions that are relays at work or at rest. One at work looks once more
    before it ends."""
    found = {name: _pumps[name] for name in names if name in _pumps}
    for pump in found.values():
        if pump.is_busy:
            pump.look()
    return {name for name, pump in found.items() if pump.is_busy or pump.is_resting}


def under_way() -> bool:
    return any(pump.is_busy for pump in tuple(_pumps.values()))


def wait(seconds: float) -> None:
    """Until a relay has done what it was asked, or so long."""
    busy = next((pump for pump in tuple(_pumps.values()) if pump.is_busy), None)
    if busy is not None:
        with busy.state:
            busy.state.wait_for(lambda: not busy.is_busy, seconds)


def stop() -> None:
    """End all threads of relays, and release what they hold."""
    for name in tuple(_pumps):
        _pumps.pop(name).stop()


atexit.register(stop)


def _pump(name: str, relay: Relay) -> Pump:
    if name not in _pumps:
        _pumps[name] = Pump(name, relay)
    return _pumps[name]


def published_by(broker: str) -> dict[str, list[str]]:
    """The relays to a broker, each with the types that its context publishes."""
    return {
        name: [type_ for type_ in registry.published_types() if _context(type_) == _context(name)]
        for name, relay in registry.of_kind(Relay).items()
        if relay.broker == broker
    }


def _context(name: str) -> str:
    return name.partition(".")[0]
