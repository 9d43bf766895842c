"""Which aggregate decides a command, which subscription handles an event, and what is read from and
published to the broker."""

from django.conf import settings

from eventstore.subscriptions import Commands, Relay

from . import commands, events, integration_events, shop
from .account import ACCOUNT
from .integration_events import PUBLICATION
from .projections import BALANCES

EVENTS = [events.EVENTS]
COMMANDS = [commands.COMMANDS]
PUBLISHED = [integration_events.PUBLISHED]
AGGREGATES = [ACCOUNT]

BROKERS = getattr(settings, "EVENTSTORE_BROKERS", {})
SUBSCRIPTIONS = {
    "loyalty": Commands(),
    "loyalty.balances": BALANCES,
    "loyalty.published": PUBLICATION,
    **{f"loyalty.published@{broker}": Relay(PUBLICATION, broker) for broker in BROKERS},
    **{f"loyalty.orders@{broker}": shop.read_from(broker) for broker in BROKERS},
}
