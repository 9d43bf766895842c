"""The whole process in memory, no database: who is next is drawn by lot, and anything may come twice.

It keeps what the engine keeps: a log in one order, each lane in its own time, commands of a lane one after another.
It gives up what the engine gives: here every command and every outside answer may be delivered twice.
"""

from collections import defaultdict, deque
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

import msgspec

from eventstore import registry
from eventstore.aggregate import Refusal
from eventstore.messages import CommandRefused
from eventstore.money import Money
from inventory.events import StockReceived
from orders.events import ProductListed
from payments.commands import CompletePayment, CompleteRefund, FailPayment
from payments.events import PaymentRequested, RefundRequested
from payments.gateway import GATEWAY
from shipping.carrier import CARRIER
from shipping.commands import BookShipment, CompleteCancellation, RefuseShipment
from shipping.events import ShipmentCancellationRequested, ShipmentRequested

EFFECTS = {"payments.gateway": GATEWAY, "shipping.carrier": CARRIER}
AT = datetime(2026, 1, 1, tzinfo=UTC)


class World:
    """draw(n) says which of n goes on. process: name -> saga."""

    def __init__(self, process, draw: Callable[[int], int], *, stock: int):
        self.process, self.draw = process, draw
        self.streams = defaultdict(list)
        self.log: list[object] = []
        self.read = dict.fromkeys([*process, *EFFECTS], 0)
        self.states = {name: saga.initial for name, saga in process.items()}
        self.owed = defaultdict(deque)
        self.calls = defaultdict(deque)
        self.words = defaultdict(deque)
        self.charged = self.refunded = self.booked = self.called_off = 0
        self.record("product-A", [ProductListed("A", "Apple", Money(100, "EUR"))])
        self.record("stock-A", [StockReceived("A", stock)])

    def record(self, stream, events):
        self.streams[stream] += events
        self.log += events

    def decide(self, command, *, reply_to=""):
        decision = registry.decision_for(command)
        known = {
            stream: registry.aggregate_of(stream).fold(self.streams[stream]) for stream in decision.streams(command)
        }
        try:
            decided = decision.decide(known, command)
        except Refusal as refusal:
            if reply_to:
                word = CommandRefused("o1", registry.name_of(command), refusal.code, str(refusal))
                self.words[reply_to].append(word)
            return
        for stream, events in decided.items():
            self.record(stream, events)

    def run(self, wish, *later_wishes):
        """Go on until nothing is left to do. The later wishes of the customer come at any moment."""
        self.decide(wish)
        moments = sorted(self.draw(150) for _ in later_wishes)
        wishes = deque(zip(moments, later_wishes, strict=True))
        for moment in count():
            if wishes and wishes[0][0] <= moment:
                self.decide(wishes.popleft()[1])
            if moves := self.moves():
                moves[self.draw(len(moves))]()
            elif not wishes:
                return

    def moves(self):
        moves = [lambda name=name: self.hear(name) for name in self.read if self.read[name] < len(self.log)]
        moves += [lambda name=name: self.hear_word(name) for name in self.words if self.words[name]]
        moves += [lambda lane=lane: self.take(lane) for lane in self.owed if self.owed[lane]]
        moves += [lambda lane=lane: self.answer(lane) for lane in self.calls if self.calls[lane]]
        return moves

    def hear(self, name):
        event = self.log[self.read[name]]
        self.read[name] += 1
        if name in self.process:
            self.react(name, self._as_it_hears(name, event))
        elif type(event) in EFFECTS[name].hears:
            self.calls[name].append(event)

    def _as_it_hears(self, name, event):
        """A saga with a contract hears what is announced in classes of its own."""
        own = self.process[name].contract.get(registry.name_of(event))
        return msgspec.convert(msgspec.to_builtins(event), own) if own else event

    def hear_word(self, name):
        self.react(name, self.words[name].popleft())

    def react(self, name, event):
        saga = self.process[name]
        if type(event) in saga.react:
            reaction = saga.react[type(event)](self.states[name], event)
            self.states[name] = reaction.state
            for command in reaction.commands:
                self.owed[registry.topic_of(command)].append((name, command))

    def take(self, lane):
        reply_to, command = self.owed[lane][0]
        if self.draw(5):
            self.owed[lane].popleft()  # or it comes again
        self.decide(command, reply_to=reply_to)

    def answer(self, lane):
        """Calls of one stream are made in order: the first of them is answered, perhaps twice."""
        command = self.ask(self.calls[lane].popleft())
        for _ in range(1 if self.draw(4) else 2):
            self.owed[registry.topic_of(command)].append(("", command))

    def ask(self, event):
        good = bool(self.draw(3))
        match event:
            case PaymentRequested():
                self.charged += event.amount.amount if good else 0
                return CompletePayment("o1", "ch_1") if good else FailPayment("o1", "declined")
            case RefundRequested():
                # Nothing goes back that was not taken.
                back = min(event.amount.amount, self.charged)
                self.refunded += back
                return CompleteRefund("o1", back, "re_1")
            case ShipmentRequested():
                self.booked += good
                return BookShipment("o1", "SB1") if good else RefuseShipment("o1", "not served")
            case ShipmentCancellationRequested():
                self.called_off += self.booked
                return CompleteCancellation("o1")

    def status(self, stream):
        return registry.aggregate_of(stream).fold(self.streams[stream])

    def said(self, cls):
        return sum(isinstance(event, cls) for event in self.log)
