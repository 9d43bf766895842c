"""Runs with a deliberate mistake, each of which the checker must find: a check that cannot fail
proves nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from tools.verification.chaos.broker_nemesis import BrokerNemesis
from tools.verification.chaos.run import Options, Result, run
from tools.verification.chaos.sabotage import MISTAKES
from tools.verification.chaos.stage import Stage

FORGOTTEN = "no open order is forgotten"
COUNTED = "stock levels have counted each event once"
PASSED = "no subscription has passed an event that its read model lacks"
FOLDED = "order details are the fold of the log"

# The fault that exposes each mistake.
DECKS = {
    "naive_cursor": {"slow_database": 1},
    "effect_before_cursor": {"copy_tasks": 1},
    "cursor_before_effect": {"copy_tasks": 1},
    "refund_without_key": {"kill_pool_child": 1},
    "asynchronous_commit": {"kill_postgres": 1},
    "cursor_before_acknowledgement": {"reset_rabbitmq": 1},
    "offset_before_effect": {"reset_rabbitmq": 1},
    "cursor_before_rows": {"kill_connect": 1},
}
# These need Kafka and RabbitMQ, and these also Debezium; until everything is consumed, nothing
# counts as lost.
AT_CAPTURE = ("cursor_before_rows",)
AT_BROKERS = ("cursor_before_acknowledgement", "offset_before_effect", *AT_CAPTURE)
CONSUMED_SECONDS = 30.0
ASYNCHRONOUS = {
    "synchronous_commit": "off",
    "wal_writer_delay": "'10s'",
    "bgwriter_lru_maxpages": "0",
}

# Seconds between two deaths of the database: it must be up to acknowledge anything.
UP_AGAIN = (4.0, 5.0)

# The checks that find each mistake; none that passes after a longer wait.
SHOWS_AS = {
    "naive_cursor": {FORGOTTEN, PASSED, FOLDED, COUNTED},
    "effect_before_cursor": {COUNTED},
    "cursor_before_effect": {FORGOTTEN, PASSED, FOLDED, COUNTED},
    "refund_without_key": {
        "every call to the provider has the idempotency key of a request in the log"
    },
    "asynchronous_commit": {"an order that was acknowledged is in the log"},
    "cursor_before_acknowledgement": {
        f"{broker} has every event that its relay has passed" for broker in ("kafka", "rabbitmq")
    },
    "cursor_before_rows": {"kafka has every event that its relay has passed"},
    "offset_before_effect": {
        f"the consumer of {broker} has passed no event without its effect"
        for broker in ("kafka", "rabbitmq")
    },
}


def control(stage: Stage, seed: int, mistake: str, options: Options) -> tuple[bool, Result]:
    """Whether the checker has found the mistake, and the result."""
    options = replace(options, deck=DECKS[mistake])
    if mistake in AT_BROKERS:
        captured = mistake in AT_CAPTURE
        options = replace(options, settle=CONSUMED_SECONDS, brokers=True, capture=captured)
        result = run(stage, seed, options, sabotage=mistake, by=BrokerNemesis)
    elif mistake in MISTAKES:
        result = run(stage, seed, options, sabotage=mistake)
    else:
        with asynchronous(stage):
            result = run(stage, seed, replace(options, gap=UP_AGAIN))
    return bool(SHOWS_AS[mistake] & {violation.check for violation in result.violations}), result


@contextmanager
def asynchronous(stage: Stage) -> Iterator[None]:
    """PostgreSQL acknowledges commits before it writes them, and writes late, so that a short run
    loses some."""
    stage.unsafe = True
    _set(stage, *(f"ALTER SYSTEM SET {name} = {value}" for name, value in ASYNCHRONOUS.items()))
    try:
        yield
    finally:
        stage.unsafe = False
        _set(stage, *(f"ALTER SYSTEM RESET {name}" for name in ASYNCHRONOUS))


def _set(stage: Stage, *statements: str) -> None:
    with psycopg.connect(stage.database_named("postgres"), autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())
        server.execute("SELECT pg_reload_conf()")
