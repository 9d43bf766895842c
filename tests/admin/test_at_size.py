"""With a long log, every page of the console reads a few rows, by an index."""

import json

import pytest
from django.db import connection

from bench import fill
from eventstore import log
from eventstore.console.pages import outbox, sagas
from eventstore.log import audit
from eventstore.postgres import rows
from eventstore.projections import rebuild
from eventstore.testing import drain
from tests.journeys.conftest import url_of_the_test

from .everything import everywhere

EVENTS = 35_000
MOST_QUERIES = 16
# It runs many checks.
MOST_OF_THE_DOCTOR = 75
# About twice what a page counts; far from the whole table.
MOST_ROWS = 11_000
DOCTOR = "eventstore_doctor"
# One for each way to find a row in each list.
MOST_OF_THE_SEARCH = 30
SEARCH = "eventstore_search"
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
    """At least one row of everything, and as many rows of the growing tables as a test has time
    for."""
    rebuild.rebuild("orders.catalogue", who="grace")
    audit.record("grace", "retry", "payments.gateway", reason="it was time")
    drain()
    before = log.fence()
    fill.fill(url_of_the_test(), events=EVENTS)
    fill.fill_tables(url_of_the_test(), orders=EVENTS // 7, messages=EVENTS, troubles=3000)
    yield
    rebuild.forget("orders.catalogue", who="grace")
    # Truncating the tables does not reset the sequence, and later tests expect small positions.
    rows("SELECT setval('eventstore_position', %s)", [before])


@pytest.mark.usefixtures("long_log")
def test_no_page_reads_more_of_a_long_log_than_it_shows(staff, monkeypatch):
    for each in (outbox, sagas):
        monkeypatch.setattr(each, "LOOKED_THROUGH", 1000)
    assert all(any(_troubles(sql)) for sql in SLOW), "this test would find them out"
    troubles = []
    for name, address in everywhere().items():
        queries = []
        with connection.execute_wrapper(_recorder(queries)):
            answer = staff.get(address)
        assert answer.status_code in (200, 302, 403), (name, answer.status_code)
        most = {DOCTOR: MOST_OF_THE_DOCTOR, SEARCH: MOST_OF_THE_SEARCH}
        if len(queries) > most.get(name, MOST_QUERIES):
            troubles.append((name, f"{len(queries)} queries"))
        for sql, params in queries:
            troubles += [(name, trouble, sql) for trouble in _troubles(sql, params)]
    assert not troubles, "\n".join(map(str, troubles))


def _recorder(queries):
    def record(execute, sql, params, many, context):
        queries.append((sql, params))
        return execute(sql, params, many, context)

    return record


def _troubles(sql, params=()):
    """Each scan of a growing table that reads all or most of it."""
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
