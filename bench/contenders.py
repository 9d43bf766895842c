"""The contenders in the order of their turns: programs that take a number of orders and print one
line of JSON."""

from typing import Any, NamedTuple

from . import children, servers

# As in production, but logs errors only, and stops without draining.
OUR_ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "SECRET_KEY": "only-for-benchmarks",
    "LOG_LEVEL": "ERROR",
    "WEB_DRAIN_SECONDS": "0",
}
OFFLINE = OUR_ENVIRONMENT | {"EVENTSTORE_WAKE_WORKERS": "0"}


class Contender(NamedTuple):
    """label: its description in the table. prepared: whether its database is a copy of the
    template. given: arguments after the number of orders.
    """

    module: str
    label: str
    prepared: bool = False
    given: tuple[str, ...] = ()


OURS, OURS_BY_TWO, OURS_BY_FOUR = "ours", "ours_2", "ours_4"

ORDERS = {
    OURS: Contender("bench.orders", "this platform", prepared=True),
    OURS_BY_TWO: Contender(
        "bench.orders", "this platform, two worker processes", prepared=True, given=("2",)
    ),
    OURS_BY_FOUR: Contender(
        "bench.orders", "this platform, four worker processes", prepared=True, given=("4",)
    ),
    "celery_crud": Contender("bench.peers.celery_crud", "Django rows, a Celery task per step"),
    "eventsourcing": Contender(
        "bench.peers.eventsourcing_orders", "the library eventsourcing, a thread per step"
    ),
    "prototype": Contender(
        "bench.peers.limit_lanes", "our subscriptions without what a product needs"
    ),
}

LOG = {
    OURS: Contender("bench.log", "this platform", prepared=True),
    "eventsourcing": Contender("bench.peers.eventsourcing_append", "the library eventsourcing"),
}


def run(contender: Contender, *given: str, template: str) -> dict[str, Any]:
    """Run one contender on a fresh database and an empty broker. Returns the figures it prints."""
    with servers.database(like=template if contender.prepared else "template0") as database_url:
        return run_on(database_url, contender, *given)


def run_on(database_url: str, contender: Contender, *given: str) -> dict[str, Any]:
    with servers.broker() as redis_url:
        environment = {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "CELERY_BROKER_URL": redis_url,
        }
        if contender.prepared:
            environment |= OUR_ENVIRONMENT
        return children.result_of(contender.module, *given, environment=environment)
