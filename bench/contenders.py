"""Who runs, in this order, each a program of its own that is given a number of orders and prints one line of JSON."""

from typing import NamedTuple


class Contender(NamedTuple):
    """says: what it is, for the table. prepared: whether its database is a copy of ours with the schema and stock."""

    module: str
    says: str
    prepared: bool = False


OURS = "ours"

ORDERS = {
    OURS: Contender("bench.orders", "this platform", prepared=True),
    "celery_crud": Contender("bench.peers.celery_crud", "Django rows, a Celery task per step"),
    "eventsourcing": Contender("bench.peers.eventsourcing_orders", "the library eventsourcing, a thread per step"),
    "prototype": Contender("bench.peers.limit_lanes", "our lanes without what a product needs"),
}

LOG = {
    OURS: Contender("bench.log", "this platform", prepared=True),
    "eventsourcing": Contender("bench.peers.eventsourcing_append", "the library eventsourcing"),
}
