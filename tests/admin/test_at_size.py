"""With a long log behind it, every page of the console reads a few rows of it, and finds them by an
index."""

import json

import pytest
from django.db import connection

from bench import fill
from eventstore import log
from eventstore.console import outbox, sagas
from eventstore.log import audit
from eventstore.postgres import rows
from eventstore.projections import rebuild
from eventstore.testing import drain
from tests.journeys.conftest import url_of_the_test

from .everything import everywhere

EVENTS = 35_000
MOST_QUERIES = 16
# It asks one question after another about everything.
MOST_OF_THE_DOCTOR = 70
# What a page counts up to at most, twice over; far from all of it.
MOST_ROWS = 11_000
DOCTOR = "eventstore_doctor"
GROWING = {
    *("eventstore_event", "eventstore_outbox", "eventstore_saga", "eventstore_sample"),
    *("orders_order_details", "payments_payment", "shipping_shipment"),
}

SLOW = (
    "SELECT count(*) FROM eventstore_event WHERE data::text LIKE '%%x'",
    "SELECT stream FROM eventstore_event ORDER BY recorded_at LIMIT 1",
    "SELECT max(version) FROM eventstore_event WHERE position > 0 AND version < 0",
    "SELECT count(*) FROM eventstore_outbox WHERE position > 0",
)


@pytest.fixture
def long_log(books):
    """Of everything one at least, and of what grows with the shop as much as a test has time
    for."""
    rebuild.rebuild("orders.catalogue", who="grace")
    audit.record("grace", "retry", "payments.gateway", reason="it was time")
    drain()
    before = log.fence()
    fill.fill(url_of_the_test(), events=EVENTS)
    fill.fill_tables(url_of_the_test(), orders=EVENTS // 7, messages=EVENTS, troubles=3000)
    yield
    rebuild.forget("orders.catalogue", who="grace")
    # Emptying the tables does not put the sequence back, and the tests behind this one begin with
    # young logs.
    rows("SELECT setval('eventstore_position', %s)", [before])


@pytest.mark.usefixtures("long_log")
def test_no_page_reads_more_of_a_long_log_than_it_shows(staff, monkeypatch):
    for each in (outbox, sagas):
        monkeypatch.setattr(each, "LOOKED_THROUGH", 1000)
    assert all(any(_troubles(sql)) for sql in SLOW), "this test would find them out"
    troubles = []
    for name, address in everywhere().items():
        asked = []
        with connection.execute_wrapper(_noted_in(asked)):
            answer = staff.get(address)
        assert answer.status_code in (200, 302, 403), (name, answer.status_code)
        if len(asked) > (MOST_OF_THE_DOCTOR if name == DOCTOR else MOST_QUERIES):
            troubles.append((name, f"{len(asked)} queries"))
        for sql, params in asked:
            troubles += [(name, trouble, sql) for trouble in _troubles(sql, params)]
    assert not troubles, "\n".join(map(str, troubles))


def _noted_in(asked):
    def note(execute, sql, params, many, context):
        asked.append((sql, params))
        return execute(sql, params, many, context)

    return note


def _troubles(sql, params=()):
    """Each look at a growing table that reads all of it, or very much of it."""
    if not sql.lstrip().upper().startswith(("SELECT", "WITH")):
        return
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}", params)
        ((plan,),) = cursor.fetchall()
    for node in _nodes(json.loads(plan)[0]["Plan"] if isinstance(plan, str) else plan[0]["Plan"]):
        read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
        if node.get("Relation Name") in GROWING and (
            node["Node Type"] == "Seq Scan" or read > MOST_ROWS
        ):
            yield f"{node['Node Type']} of {node['Relation Name']}, {read:.0f} rows"


def _nodes(plan):
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)
