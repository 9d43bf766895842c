"""The shop's wiring, and for each broker a consumer whose effects can be counted.

Each message has an effect in the table of brokers.TABLE, where a repeat is one more row. Each
confirmed order also has one in the log: a command to an aggregate that counts whatever it is sent.
"""

from collections.abc import Callable, Iterable
from typing import Any

from django.conf import settings
from django.db import connection

from config import wiring as shop
from config.wiring import *  # noqa: F403
from eventstore.aggregate import Aggregate
from eventstore.messages import Command, Event, State, replace
from eventstore.messaging.event_bus import Envelope
from eventstore.subscriptions import Commands, Consumer

CONFIRMED = "orders.order_confirmed_integration"
EFFECT = """
    INSERT INTO chaos_effect (consumer, event_id, stream, position, sequence)
    VALUES (%s, %s, %s, %s, %s)
"""


class Count(Command, frozen=True):
    tally_id: str
    consumer: str
    event_id: str


class Counted(Event, frozen=True):
    tally_id: str
    consumer: str
    event_id: str


class Tally(State, frozen=True):
    count: int = 0


def count(tally: Tally, command: Count) -> list[Event]:
    return [Counted(command.tally_id, command.consumer, command.event_id)]


TALLY = Aggregate(
    category="tally",
    identity="tally_id",
    initial=Tally(),
    decide={Count: count},
    evolve={Counted: lambda tally, event: replace(tally, count=tally.count + 1)},
)


def handler(consumer: str) -> Callable[[Envelope], Iterable[Command]]:
    def handle(envelope: Envelope) -> Iterable[Command]:
        id_ = str(envelope.id)
        place: tuple[Any, ...] = (envelope.subject, envelope.position, envelope.sequence)
        with connection.cursor() as cursor:
            cursor.execute(EFFECT, [consumer, id_, *place])
        if envelope.type == CONFIRMED:
            return [Count(f"{consumer}:{envelope.event.order_id}", consumer, id_)]
        return []

    return handle


TOPICS = [f"events.{name.partition('.')[0]}" for name in shop.PUBLICATIONS]
CONSUMERS = {
    f"chaos.{broker}": Consumer(broker, TOPICS, {"*": handler(f"chaos.{broker}")})
    for broker in settings.EVENTSTORE_BROKERS
}

EVENTS = [*shop.EVENTS, {"chaos.counted": Counted}]
COMMANDS = [*shop.COMMANDS, {"chaos.count": Count}]
AGGREGATES = [*shop.AGGREGATES, TALLY]
SUBSCRIPTIONS = {**shop.SUBSCRIPTIONS, "chaos": Commands(), **CONSUMERS}
