"""An append of one event draws its position before its insert; what happens in between leads to
another position."""

from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from eventstore import log
from eventstore.log import NO_STREAM, append
from eventstore.postgres import rows
from tests.eventstore.concurrently import in_thread, until_waiting
from tests.eventstore.toy import Counted
from tests.restore.losing import first_epoch

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]

HOLD = "LOCK TABLE eventstore_epoch_mark IN ACCESS EXCLUSIVE MODE"
DRAWN = "SELECT pg_sequence_last_value('eventstore_position')"
COPY = """
    INSERT INTO eventstore_event (
        position, id, stream, version, type, data, correlation_id, metadata
    )
    SELECT nextval('eventstore_position'), gen_random_uuid(), 'counter-rival', 1, type, data,
           correlation_id, metadata
    FROM eventstore_event LIMIT 1
"""
BEGIN_EPOCH = (
    "SELECT eventstore_begin_epoch((SELECT mark FROM eventstore_epoch_mark), 'went back', '')"
)
APPEND_ONE = """
    SELECT eventstore_append_one(
        'counter-b', 1, gen_random_uuid(), 'toy.counted', 1::smallint, '{"counter_id": "b"}',
        gen_random_uuid(), NULL, '{}'
    )
"""


@pytest.fixture(autouse=True)
def first(transactional_db):
    yield
    first_epoch()


def one(stream):
    return append(stream, [Counted("a")], expected=NO_STREAM)


@contextmanager
def drawn(another):
    """An append that has drawn its position and waits to insert; and that position."""
    one("counter-before")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(HOLD)
        waiting = in_thread(one, "counter-waiting")
        until_waiting(another())
        yield waiting, rows(DRAWN)[0][0]


def test_an_event_that_another_wrote_is_not_taken_for_a_sequence_that_is_behind(another):
    with drawn(another) as (waiting, position):
        another().execute(COPY)
    assert waiting.result(30).position > position + 1


def test_a_position_from_before_the_epoch_is_not_used(another):
    with drawn(another) as (waiting, position):
        rows(BEGIN_EPOCH)
    ((begun,),) = rows("SELECT max(first) FROM eventstore_epoch")
    assert waiting.result(30).position > begun > position


def test_without_a_mark_nothing_is_written(another):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM eventstore_epoch_mark")
    assert another().execute(APPEND_ONE).fetchone() == (None,)
    assert not list(log.read_log())
