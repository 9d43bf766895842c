"""Counters that are published: the toy's events, as integration events of a context of each test's
own, so that each test has topics and routing keys of its own."""

from types import SimpleNamespace

from eventstore.messages import IntegrationEvent
from eventstore.subscriptions import Publication, Relay
from tests.eventstore.toy import Counted

# The note of what a consumer has counted: it is not published again.
ECHO = "echo"


class CounterChanged(IntegrationEvent, frozen=True):
    counter_id: str
    amount: int
    note: str = ""


def changed(event, history):
    if event.note == "untranslatable":
        raise ValueError(event.note)
    if event.note == ECHO:
        return []
    return [CounterChanged(event.counter_id, event.amount, event.note)]


PUBLICATION = Publication(publish={Counted: changed})


def parts(context, *brokers):
    """Of a wiring."""
    names = SimpleNamespace(
        relays=[f"{context}.published@{broker}" for broker in brokers],
        type=f"{context}.counter_changed",
    )
    return names, {
        "SUBSCRIPTIONS": {f"{context}.published": PUBLICATION}
        | {f"{context}.published@{broker}": Relay(PUBLICATION, broker) for broker in brokers},
        "PUBLISHED": [{names.type: CounterChanged}],
    }
