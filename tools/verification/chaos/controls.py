"""The same with a mistake put in, each of which the checker must see: one that never fails proves
nothing."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import psycopg

from tools.verification.chaos.run import Form, Result, run
from tools.verification.chaos.sabotage import MISTAKES
from tools.verification.chaos.stage import Stage

FORGOTTEN = "no open order is forgotten"
COUNTED = "stock levels have counted each event once"
PASSED = "no subscription has passed an event that its read model has not heard"
FOLDED = "order details are the fold of the log"

# What hurts the mistake, and how it shows.
DECKS = {
    "naive_cursor": {"slow_database": 1},
    "effect_before_cursor": {"copy_tasks": 1},
    "cursor_before_effect": {"copy_tasks": 1},
    "refund_without_key": {"kill_pool_child": 1},
    "asynchronous_commit": {"kill_postgres": 1},
}
FORGETFUL = {"synchronous_commit": "off", "wal_writer_delay": "'10s'", "bgwriter_lru_maxpages": "0"}

# Between two deaths of the database it must have been up, for something to be acknowledged.
UP_AGAIN = (4.0, 5.0)

# Only what waiting longer would not mend.
SHOWS_AS = {
    "naive_cursor": {FORGOTTEN, PASSED, FOLDED, COUNTED},
    "effect_before_cursor": {COUNTED},
    "cursor_before_effect": {FORGOTTEN, PASSED, FOLDED, COUNTED},
    "refund_without_key": {"the provider was asked only under the keys of our own requests"},
    "asynchronous_commit": {"an order that was acknowledged is in the log"},
}


def control(stage: Stage, seed: int, mistake: str, form: Form) -> tuple[bool, Result]:
    """Whether the checker has seen it, and what it saw."""
    form = replace(form, deck=DECKS[mistake])
    if mistake in MISTAKES:
        result = run(stage, seed, form, sabotage=mistake)
    else:
        with asynchronous(stage):
            result = run(stage, seed, replace(form, gap=UP_AGAIN))
    return bool(SHOWS_AS[mistake] & {violation.check for violation in result.violations}), result


@contextmanager
def asynchronous(stage: Stage) -> Iterator[None]:
    """PostgreSQL says yes before it has written; and it takes its time, so that a short run sees
    what that means."""
    stage.unsafe = True
    _set(stage, *(f"ALTER SYSTEM SET {name} = {value}" for name, value in FORGETFUL.items()))
    try:
        yield
    finally:
        stage.unsafe = False
        _set(stage, *(f"ALTER SYSTEM RESET {name}" for name in FORGETFUL))


def _set(stage: Stage, *statements: str) -> None:
    with psycopg.connect(stage.database_named("postgres"), autocommit=True) as server:
        for statement in statements:
            server.execute(statement.encode())
        server.execute("SELECT pg_reload_conf()")
