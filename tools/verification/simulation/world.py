"""The whole shop in memory with a simulated clock: order, delays and repetitions are random.

It keeps the promises of the engine: one log in one order; each subscription at its own pace; calls
of one stream one after another; a deadline that a later response withdraws. It keeps no others:
commands and responses may be repeated at any later time; calls may hang, fail, respond too late, or
never respond.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Any, NamedTuple

import msgspec

from eventstore import registry
from eventstore.aggregate import CommandRejected
from eventstore.messages import Command, CommandRefused, DeadlinePassed, Event, Intervened
from eventstore.subscriptions import Commands, Saga
from orders.events import OrderPlaced
from orders.order.saga import Fulfilment
from tools.verification.simulation.outside import EFFECTS, Call, Outside

MINUTE, HOUR = 60.0, 3600.0
EVENT = "event"

# Probabilities: a message in the outbox comes again later; a subscription's worker has died, so its
# next batch is late.
TWICE, SLOW = 0.15, 0.05


class Entry(NamedTuple):
    """One line of the log and outbox. topic: EVENT, or the receiving subscription."""

    topic: str
    key: str
    message: Any
    reply_to: str = ""


class World:
    """process: name -> saga, as in the wiring. run() ends when nothing is left to do, for operators
    either.

    accepted: counts of accepted commands and facts. seen_to: orders with a step or a call that an
    operator took responsibility for.
    """

    def __init__(self, process: Mapping[str, Saga], random: Random, outside: Outside):
        self.process, self.random, self.outside = process, random, outside
        self.now, self._number = 0.0, count()
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self.log: list[Entry] = []
        self.versions: dict[str, int] = defaultdict(int)
        self.states: dict[str, Any] = {}
        self.running: dict[tuple[str, str], tuple[Any, int]] = {}
        self.deadlines: dict[tuple[str, str], int] = {}
        self.calls: dict[tuple[str, str], deque[Call]] = defaultdict(deque)
        self.cursors = dict.fromkeys([*process, *EFFECTS, *_contexts()], 0)
        self._awake: set[str] = set()
        self.held: set[str] = set()
        self.seen_to: set[str] = set()
        self.accepted: Counter[str] = Counter()
        self._read_as = {name: _events_of(saga) for name, saga in process.items()}

    # The clock.

    def at(self, moment: float, action: Callable[[], None]) -> None:
        heappush(self._agenda, (max(moment, self.now), next(self._number), action))

    def after(self, longest: float, action: Callable[[], None]) -> None:
        self.at(self.now + self.random.random() * longest, action)

    def run(self, *, most: int = 20_000, at_rest: Callable[[], None] = lambda: None) -> None:
        """at_rest: called whenever only operators have anything to do."""
        for _ in range(most):
            if not self._agenda:
                at_rest()
                if not self._call_operators():
                    return
                continue
            self.now, _, action = heappop(self._agenda)
            action()
        raise AssertionError(f"not at rest within {most} steps")

    def run_for(self, seconds: float) -> None:
        """Actions that are due later stay on the agenda."""
        until = self.now + seconds
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, action = heappop(self._agenda)
            action()
        self.now = until

    def run_out(self, *, most: int = 20_000) -> None:
        """Until nothing is left to do, deadlines included, without operators."""
        for _ in range(most):
            if not self._agenda:
                return
            self.now, _, action = heappop(self._agenda)
            action()
        raise AssertionError(f"not at rest within {most} steps")

    def hold(self, *subscriptions: str) -> None:
        """Stop deliveries to these subscriptions; calls to a provider get no response."""
        self.held.update(subscriptions)

    def release(self) -> None:
        subscriptions, self.held = self.held, set()
        self.append([])
        for subscription, stream in [
            each for each, queue in self.calls.items() if each[0] in subscriptions and queue
        ]:
            self._try(subscription, stream)

    # The log.

    def state(self, stream: str) -> Any:
        return self.states.get(stream) or registry.aggregate_of(stream).initial

    def append(self, entries: Sequence[Entry]) -> None:
        self.log += entries
        for subscription in self.cursors:
            if subscription not in self._awake and self.cursors[subscription] < len(self.log):
                self._awake.add(subscription)
                self.after(
                    MINUTE if self.random.random() < SLOW else 0.2,
                    lambda subscription=subscription: self._wake(subscription),
                )

    def dispatch(self, command: Command, *, reply_to: str = "", key: str = "") -> str:
        """Decide a command; reply_to gets a rejection. Returns the code of the rejection, or ""."""
        decision = registry.decision_for(command)
        try:
            changes = decision.decide(
                {stream: self.state(stream) for stream in decision.streams(command)}, command
            )
        except CommandRejected as rejection:
            if reply_to:
                message = CommandRefused(
                    key,
                    registry.name_of_class(type(command)),
                    rejection.code,
                    str(rejection),
                )
                self.append([Entry(reply_to, key, message)])
            return rejection.code
        for stream, events in changes.items():
            self._keep(stream, events)
        return ""

    def enqueue(self, command: Command, *, reply_to: str = "", key: str = "") -> None:
        entry = Entry(registry.topic_of(command), key, command, reply_to)
        self.append([entry])
        if self.random.random() < TWICE:
            self.after(self.random.choice((1.0, MINUTE, HOUR)), lambda: self.append([entry]))

    def total(self, order_id: str) -> int:
        """The order's total, by the log."""
        return sum(
            entry.message.total.amount
            for entry in self.log
            if isinstance(entry.message, OrderPlaced) and entry.message.order_id == order_id
        )

    def _keep(self, stream: str, events: Sequence[Event]) -> None:
        for event in events:
            self.states[stream] = registry.aggregate_of(stream).apply(self.state(stream), event)
            self.versions[stream] += 1
        if events:
            self.append([Entry(EVENT, stream, event) for event in events])

    # The subscriptions.

    def _wake(self, subscription: str) -> None:
        """Deliver some of the messages ahead of the cursor."""
        self._awake.discard(subscription)
        if subscription in self.held and subscription not in EFFECTS:
            return
        until = min(len(self.log), self.cursors[subscription] + self.random.randrange(1, 8))
        for position in range(self.cursors[subscription], until):
            self._deliver(subscription, position, self.log[position])
        self.cursors[subscription] = until
        self.append([])

    def _deliver(self, subscription: str, position: int, entry: Entry) -> None:
        if subscription in self.process:
            if entry.topic == subscription:
                self._react(subscription, position, entry.key, entry.message)
            elif entry.topic == EVENT and (
                read := self._read_as[subscription].get(type(entry.message))
            ):
                event = read(entry.message)
                self._react(subscription, position, self.process[subscription].key(event), event)
        elif subscription in EFFECTS:
            if entry.topic == EVENT and type(entry.message) in EFFECTS[subscription].handles:
                self._enqueue_call(subscription, Call(position, entry.message), entry.key)
        elif entry.topic == subscription:
            self.dispatch(entry.message, reply_to=entry.reply_to, key=entry.key)

    # The sagas.

    def _react(self, name: str, position: int, key: str, message: Any) -> None:
        saga = self.process[name]
        state, since = self.running.get((name, key), (saga.initial, 0))
        if type(message) not in saga.react or _is_of_an_earlier_step(message, since):
            return
        reaction = saga.react[type(message)](state, message)
        if reaction.state == state and not reaction.commands and reaction.deadline is None:
            return
        self.running[name, key] = reaction.state, position
        self.deadlines.pop((name, key), None)
        if reaction.deadline:
            self.deadlines[name, key] = position
            self.at(
                self.now + reaction.deadline.total_seconds(),
                lambda: self._pass_deadline(name, key, position),
            )
        for command in reaction.commands:
            self.enqueue(command, reply_to=name, key=key)

    def _pass_deadline(self, name: str, key: str, set_at: int) -> None:
        if self.deadlines.get((name, key)) == set_at:
            del self.deadlines[name, key]
            self.append([Entry(name, key, DeadlinePassed(key, self.outside.today, set_at))])

    # Calls to the outside; those of one stream run in order.

    def _enqueue_call(self, subscription: str, call: Call, stream: str) -> None:
        queue = self.calls[subscription, stream]
        queue.append(call)
        if len(queue) == 1:
            self._try(subscription, stream)

    def _try(self, subscription: str, stream: str) -> None:
        self.after(1.0, lambda: self._call(subscription, stream))

    def _call(self, subscription: str, stream: str) -> None:
        queue = self.calls[subscription, stream]
        if not queue or subscription in self.held:
            return
        call = queue[0]
        outcome = self.outside.ask(call)
        if outcome.command is None:
            if outcome.retry_after is not None:
                queue[0] = call.tried()
                self.at(self.now + outcome.retry_after, lambda: self._call(subscription, stream))
            return
        self.at(
            self.now + outcome.takes,
            lambda: self._respond(subscription, stream, call, outcome.command),
        )

    def _respond(self, subscription: str, stream: str, call: Call, command: Command) -> None:
        queue = self.calls[subscription, stream]
        if queue and queue[0].position == call.position:
            self.enqueue(command)
            queue.popleft()
            if queue:
                self._try(subscription, stream)

    # Operators.

    def intervene(self, key: str, action: str) -> None:
        for name in self.process:
            self.append(
                [Entry(name, key, Intervened(key, action, "they asked for it", "operator"))]
            )

    def _call_operators(self) -> bool:
        """At rest: retry a call that was given up, or see to a saga that needs attention. Returns
        whether there was one."""
        given_up = [
            (subscription, stream) for (subscription, stream), queue in self.calls.items() if queue
        ]
        stuck = [
            key
            for (_, key), (state, _) in self.running.items()
            if state.status == "NEEDS_ATTENTION"
        ]
        self.outside.repair()
        if stuck and self.random.random() < 0.3:
            self._resolve_by_other_means(stuck[0])
        elif given_up and given_up[0][1].partition("-")[2] in self.outside.changed_outside:
            self._discard(*given_up[0])
        elif given_up:
            self._try(*given_up[0])
        elif stuck:
            self.intervene(stuck[0], "retry")
        return bool(given_up or stuck)

    def _discard(self, subscription: str, stream: str) -> None:
        """Discard a call that the provider always refuses."""
        self.seen_to.add(stream.partition("-")[2])
        self.calls[subscription, stream].popleft()
        if self.calls[subscription, stream]:
            self._try(subscription, stream)

    def _resolve_by_other_means(self, key: str) -> None:
        """Undo the step outside of the system, discard its calls, and skip it."""
        self.seen_to.add(key.partition("-")[0])
        step = next(state for (_, each), (state, _) in self.running.items() if each == key)
        if isinstance(step, Fulfilment) and not step.beneath:
            self._undo_by_hand(step, key)
        self.intervene(key, "skip")

    def _undo_by_hand(self, step: Fulfilment, key: str) -> None:
        stream, undo = (
            (f"shipment-{key}", self.outside.cancel_parcel_by_hand)
            if step.shipment
            else (f"payment-{key}", self.outside.refund_by_hand)
        )
        for subscription in EFFECTS:
            self.calls[subscription, stream].clear()
        undo(key)


def _events_of(saga: Saga) -> dict[type[Event], Callable[[Any], Any]]:
    """How the saga reads each event: as it is, or converted to the class in its contract."""
    ours = {registry.types()[name]: _convert_to(cls) for name, cls in saga.contract.items()}
    return {cls: lambda event: event for cls in saga.react if cls in registry.names()} | ours


def _convert_to(ours: type[Event]) -> Callable[[Any], Any]:
    return lambda event: msgspec.convert(msgspec.to_builtins(event), ours)


def _contexts() -> list[str]:
    return [*registry.of_kind(Commands)]


def _is_of_an_earlier_step(message: Any, since: int) -> bool:
    return isinstance(message, DeadlinePassed) and message.set_at != since
