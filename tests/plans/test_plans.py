"""Whatever the statistics say of a table, each statement of the engine and of the API finds its
rows by an index.

No list of statements is kept: what the connections send on a day in the shop is planned beforehand,
and each constant that is SQL, and each function in the database, has to be among it.
"""

import os

import pytest
from django.db import connection, transaction

from eventstore.models import Parked
from eventstore.outbox import parked
from eventstore.postgres import rows
from tests.journeys.conftest import url_of_the_test

from . import bounds, journey, statements, watching, world

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow, pytest.mark.timeout(7200)]

# `make plans` asks for two million; the bounds are the same.
EVENTS = int(os.environ.get("PLANS_EVENTS", "35000"))


@pytest.mark.parametrize("state", world.STATES)
def test_every_statement_reads_no_more_than_it_answers(state):
    people = journey.story()
    with world.filled(url_of_the_test(), events=EVENTS, state=state):
        with watching.watched(watching.Watch()) as watch:
            journey.live(people)
        never = [
            f"never met: {name}; say it in journey.py, or why not in bounds.NEVER_MET"
            for name in unmet(watch)
        ]
        never += [f"never called: {name}" for name in uncalled(watch)]
    troubles = {each.statement: each for each in watch.looks if bounds.too_much(each, state)}
    excessive = [
        f"{each.buffers} buffers for {each.items}, {each.mode}: {each.statement}\n{each.plan}"
        for each in troubles.values()
    ]
    assert not never + excessive, "\n".join(never + excessive)


def unmet(watch):
    return [
        name
        for name, statement in statements.constants().items()
        if not bounds.exempt(name) and not statements.is_met(statement, watch.met)
    ]


def uncalled(watch):
    """Functions that no statement calls, nor another function."""
    functions = statements.functions()
    texts = [*watch.met, *functions.values()]
    return [name for name in functions if not statements.called(name, texts)]


# As it was: of an emptied table, every index seemed to serve for a place, and a nested look for
# what waits behind it.
SETTLE_AS_IT_WAS = """
    WITH settled AS (
        DELETE FROM eventstore_parked
        USING unnest(%s::bigint[], %s::integer[]) AS held(place, token)
        WHERE subscription = %s AND position = place AND attempts = token
        RETURNING position, key
    ), woken AS (
        UPDATE eventstore_parked
        SET due_at = now()
        WHERE subscription = %s AND position IN (
            SELECT min(waiting.position)
            FROM eventstore_parked AS waiting
            JOIN settled ON settled.key = waiting.key
            WHERE waiting.subscription = %s AND waiting.position NOT IN (SELECT position
                FROM settled)
            GROUP BY waiting.key
        )
    )
    SELECT position FROM settled
"""
PARK = """
    INSERT INTO eventstore_parked (subscription, position, key, status, attempts)
    SELECT 'payments.gateway', number, 'payment-' || number, 'leased', 1
        FROM generate_series(1, 300) AS number
"""
SUBSCRIPTION, HELD = "payments.gateway", list(range(1, 101))


@pytest.fixture
def emptied():
    """Three hundred calls under way, in a table whose statistics are of the moment when those
    before them were done."""
    with connection.cursor() as cursor:
        for statement in (
            PARK,
            "DELETE FROM eventstore_parked",
            "VACUUM (ANALYZE, TRUNCATE false) eventstore_parked",
        ):
            cursor.execute(statement)
        cursor.execute(PARK)
    yield
    Parked.objects.all().delete()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE eventstore_parked")


@pytest.mark.usefixtures("emptied")
@pytest.mark.parametrize("mode", [watching.CUSTOM, watching.GENERIC])
def test_a_batch_of_calls_is_settled_by_a_look_for_each_however_empty_the_table_seemed(mode):
    with transaction.atomic():
        before = watching.look(
            connection.connection,
            SETTLE_AS_IT_WAS,
            [HELD, [1] * len(HELD), SUBSCRIPTION, SUBSCRIPTION, SUBSCRIPTION],
            mode,
        )
        now = watching.look(
            connection.connection,
            parked.SETTLE,
            [HELD, [1] * len(HELD), SUBSCRIPTION, HELD, SUBSCRIPTION, SUBSCRIPTION],
            mode,
        )
    assert bounds.too_much(before, world.EMPTIED), "this test would find it out"
    assert not bounds.too_much(now, world.EMPTIED)
    assert parked.settle(SUBSCRIPTION, dict.fromkeys(HELD, 1)) == set(HELD)


@pytest.mark.usefixtures("emptied")
def test_who_waits_behind_a_settled_call_becomes_due_and_nobody_else():
    Parked.objects.filter(position__in=[2, 3, 300]).update(key="payment-1")
    Parked.objects.update(due_at=None)
    parked.settle(SUBSCRIPTION, {1: 1, 2: 1, 250: 1})
    assert list(Parked.objects.filter(due_at__isnull=False).values_list("position", flat=True)) == [
        3
    ]
    assert rows(parked.HELD, [SUBSCRIPTION, ["payment-1", "payment-2", "payment-200"]]) == [
        ("payment-1",),
        ("payment-200",),
    ]
