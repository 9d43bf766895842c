"""The whole shop in memory, under a clock of its own: who is next, what is late and what comes
twice is drawn by lot.

It keeps what the engine keeps: one log in one order, each subscription in its own time, calls of
one stream one after another, a deadline that is taken back by a later answer. It gives up what
nobody can promise: commands and answers may come again, at any later time; calls may hang, fail, be
answered when nobody waits any more, or not be answered at all.
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

# How often: what is owed comes again at some later time; a subscription whose worker has died takes
# its step a while later.
TWICE, SLOW = 0.15, 0.05


class Entry(NamedTuple):
    """One line of the log and outbox. topic: EVENT, or the subscription that it is owed to."""

    topic: str
    key: str
    message: Any
    reply_to: str = ""


class World:
    """process: name -> saga, as in the wiring. run() goes on until nothing is left to do, for
    people either.

    said: how often anybody has asked or told what, and was heard. seen_to: orders of which a person
    vouches for something.
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
        self.said: Counter[str] = Counter()
        self._heard_as = {name: _heard_as(saga) for name, saga in process.items()}

    # The clock.

    def at(self, moment: float, action: Callable[[], None]) -> None:
        heappush(self._agenda, (max(moment, self.now), next(self._number), action))

    def after(self, longest: float, action: Callable[[], None]) -> None:
        self.at(self.now + self.random.random() * longest, action)

    def run(self, *, most: int = 20_000, at_rest: Callable[[], None] = lambda: None) -> None:
        """at_rest: called whenever only people have anything to do."""
        for _ in range(most):
            if not self._agenda:
                at_rest()
                if not self._call_people():
                    return
                continue
            self.now, _, action = heappop(self._agenda)
            action()
        raise AssertionError(f"it does not come to rest within {most} steps")

    def run_for(self, seconds: float) -> None:
        """And no longer: whoever waits goes on waiting."""
        until = self.now + seconds
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, action = heappop(self._agenda)
            action()
        self.now = until

    def run_out(self, *, most: int = 20_000) -> None:
        """Until nothing is left to do, deadlines included, without any person."""
        for _ in range(most):
            if not self._agenda:
                return
            self.now, _, action = heappop(self._agenda)
            action()
        raise AssertionError(f"it does not come to rest within {most} steps")

    def hold(self, *subscriptions: str) -> None:
        """A subscription takes no step; a provider is asked, and does not answer."""
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
        """Decide a command; whoever it is refused for is told. Returns the code of a refusal."""
        decision = registry.decision_for(command)
        try:
            decided = decision.decide(
                {stream: self.state(stream) for stream in decision.streams(command)}, command
            )
        except CommandRejected as refusal:
            if reply_to:
                word = CommandRefused(key, registry.name_of(command), refusal.code, str(refusal))
                self.append([Entry(reply_to, key, word)])
            return refusal.code
        for stream, events in decided.items():
            self._keep(stream, events)
        return ""

    def enqueue(self, command: Command, *, reply_to: str = "", key: str = "") -> None:
        entry = Entry(registry.topic_of(command), key, command, reply_to)
        self.append([entry])
        if self.random.random() < TWICE:
            self.after(self.random.choice((1.0, MINUTE, HOUR)), lambda: self.append([entry]))

    def total(self, order_id: str) -> int:
        """What the order costs, by the log."""
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
        """One step: some of what lies ahead of the cursor."""
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
                heard := self._heard_as[subscription].get(type(entry.message))
            ):
                event = heard(entry.message)
                self._react(subscription, position, self.process[subscription].key(event), event)
        elif subscription in EFFECTS:
            if entry.topic == EVENT and type(entry.message) in EFFECTS[subscription].handles:
                self._take_in(subscription, Call(position, entry.message), entry.key)
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
                lambda: self._tell(name, key, position),
            )
        for command in reaction.commands:
            self.enqueue(command, reply_to=name, key=key)

    def _tell(self, name: str, key: str, set_at: int) -> None:
        if self.deadlines.get((name, key)) == set_at:
            del self.deadlines[name, key]
            self.append([Entry(name, key, DeadlinePassed(key, self.outside.today, set_at))])

    # Calls to the outside, those of one stream in order.

    def _take_in(self, subscription: str, call: Call, stream: str) -> None:
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
        answered = self.outside.ask(call)
        if answered.command is None:
            if answered.again_after is not None:
                queue[0] = call.tried()
                self.at(self.now + answered.again_after, lambda: self._call(subscription, stream))
            return
        self.at(
            self.now + answered.takes,
            lambda: self._answered(subscription, stream, call, answered.command),
        )

    def _answered(self, subscription: str, stream: str, call: Call, command: Command) -> None:
        queue = self.calls[subscription, stream]
        if queue and queue[0].position == call.position:
            self.enqueue(command)
            queue.popleft()
            if queue:
                self._try(subscription, stream)

    # People.

    def intervene(self, key: str, action: str) -> None:
        for name in self.process:
            self.append(
                [Entry(name, key, Intervened(key, action, "they asked for it", "operator"))]
            )

    def _call_people(self) -> bool:
        """When all is still: a call that was given up is made again, and who is called for
        attention comes."""
        given_up = [
            (subscription, stream) for (subscription, stream), queue in self.calls.items() if queue
        ]
        stuck = [
            key
            for (_, key), (state, _) in self.running.items()
            if state.status == "NEEDS_ATTENTION"
        ]
        self.outside.mend()
        if stuck and self.random.random() < 0.3:
            self._see_to_it_by_other_means(stuck[0])
        elif given_up and given_up[0][1].partition("-")[2] in self.outside.beside:
            self._discard(*given_up[0])
        elif given_up:
            self._try(*given_up[0])
        elif stuck:
            self.intervene(stuck[0], "retry")
        return bool(given_up or stuck)

    def _discard(self, subscription: str, stream: str) -> None:
        """What the provider refuses for good."""
        self.seen_to.add(stream.partition("-")[2])
        self.calls[subscription, stream].popleft()
        if self.calls[subscription, stream]:
            self._try(subscription, stream)

    def _see_to_it_by_other_means(self, key: str) -> None:
        """Ring up whoever does not answer, discard what was still to be asked of them, and say
        so."""
        self.seen_to.add(key.partition("-")[0])
        step = next(state for (_, each), (state, _) in self.running.items() if each == key)
        if isinstance(step, Fulfilment) and not step.beneath:
            self._undo_by_hand(step, key)
        self.intervene(key, "skip")

    def _undo_by_hand(self, step: Fulfilment, key: str) -> None:
        stream, undo = (
            (f"shipment-{key}", self.outside.call_off_by_hand)
            if step.shipment
            else (f"payment-{key}", self.outside.refund_by_hand)
        )
        for subscription in EFFECTS:
            self.calls[subscription, stream].clear()
        undo(key)


def _heard_as(saga: Saga) -> dict[type[Event], Callable[[Any], Any]]:
    """What becomes of each event: itself, or what the saga's own contract makes of it."""
    ours = {registry.types()[name]: _read_as(cls) for name, cls in saga.contract.items()}
    return {cls: lambda event: event for cls in saga.react if cls in registry.names()} | ours


def _read_as(ours: type[Event]) -> Callable[[Any], Any]:
    return lambda event: msgspec.convert(msgspec.to_builtins(event), ours)


def _contexts() -> list[str]:
    return [
        name
        for name, subscription in registry.subscriptions().items()
        if isinstance(subscription, Commands)
    ]


def _is_of_an_earlier_step(message: Any, since: int) -> bool:
    return isinstance(message, DeadlinePassed) and message.set_at != since
