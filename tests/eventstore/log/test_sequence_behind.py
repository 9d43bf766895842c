"""A sequence of positions that is behind: appends are refused, and told how to mend it; nothing is
ever lost to it."""

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from uuid_utils.compat import uuid7

from eventstore import log
from eventstore.commands import bus
from eventstore.delivery import step
from eventstore.log import ANY, NO_STREAM, PositionPassed, append, append_all
from eventstore.models import Event, OutboxMessage, Subscription
from eventstore.outbox import cursors
from eventstore.postgres import NotReadCommitted
from eventstore.testing import drain
from tests.eventstore.toy import Count, Counted, Tally

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


def set_sequence(position):
    with connection.cursor() as cursor:
        cursor.execute("SELECT setval('eventstore_position', %s)", [position])


def one():
    append(f"counter-{uuid7()}", [Counted("b")], expected=NO_STREAM)


def several():
    append_all({f"counter-{uuid7()}": (NO_STREAM, [Counted("b"), Counted("b")])})


def at_any_version():
    append("counter-a", [Counted("a")], expected=ANY)


def outgoing():
    bus.enqueue([Count("a")])


def under_a_key():
    events = log.new_events(
        f"counter-{uuid7()}", [Counted("b")], expected=NO_STREAM, metadata=log.current_metadata()
    )
    answer = (
        f'{{"scope": "{uuid7()}", "fingerprint": "", "status": 202, "headers": {{}}, "body":'
        ' "{}"}'
    )
    log.write_once(answer, events)


def on_premises():
    events = log.new_events(
        f"counter-{uuid7()}", [Counted("b")], expected=NO_STREAM, metadata=log.current_metadata()
    )
    log.write(events, condition=log.AppendCondition(None, {"counter-x": 0}))


ways = pytest.mark.parametrize(
    "way", [one, several, at_any_version, outgoing, under_a_key, on_premises]
)


@ways
class TestItIsRefused:
    def test_where_the_log_has_later_events(self, way):
        for _ in range(3):
            at_any_version()
        set_sequence(Event.objects.earliest("position").position)
        refuses(way)

    def test_where_every_position_is_taken(self, way):
        append("counter-a", [Counted("a")] * 20, expected=ANY)
        set_sequence(Event.objects.earliest("position").position)
        refuses(way)

    def test_where_only_what_was_owed_came_later_and_is_cleared(self, way):
        """As after a restore that put the sequence at the last event."""
        last = append("counter-a", [Counted("a")], expected=ANY).position
        for _ in range(3):
            bus.enqueue([Count("a", note="bug")])
        drain()
        cursors.clear(retention=timedelta(0))
        set_sequence(last)
        refuses(way)

    def test_where_a_cursor_has_passed_a_hole(self, way):
        """Positions that were rolled back, at the end of the log."""
        last = append("counter-a", [Counted("a")], expected=ANY).position
        with transaction.atomic():
            append("counter-a", [Counted("a")] * 3, expected=ANY)
            transaction.set_rollback(True)
        drain()
        assert Subscription.objects.get(name="toy.tallies").position == last + 3
        set_sequence(last)
        refuses(way)

    def test_where_the_cursor_stands_at_the_very_position(self, way):
        last = append("counter-a", [Counted("a")], expected=ANY).position
        Subscription.objects.filter(name="toy").update(position=last + 1)
        refuses(way)

    def test_and_not_behind_the_cursor(self, way):
        last = append("counter-a", [Counted("a")], expected=ANY).position
        Subscription.objects.filter(name="toy").update(position=last)
        way()


def refuses(way):
    before = Event.objects.count(), OutboxMessage.objects.count()
    with pytest.raises(PositionPassed, match="manage.py restart_sequence"):
        way()
    assert (Event.objects.count(), OutboxMessage.objects.count()) == before


@pytest.mark.parametrize("back", [1, 3, 6])
def test_restarted_it_goes_on_and_everything_is_delivered(back, capsys):
    for amount in range(1, 7):
        append("counter-a", [Counted("a", amount)], expected=ANY)
    drain()
    set_sequence(log.fence() - back if log.fence() > back else 1)

    call_command("restart_sequence")

    assert "continues after" in capsys.readouterr().out
    append("counter-a", [Counted("a", 100)], expected=ANY)
    drain()
    assert Tally.objects.get().heard == [1, 2, 3, 4, 5, 6, 100]


def test_one_that_is_not_behind_stays_where_it_is(capsys):
    last = append("counter-a", [Counted("a")], expected=ANY).position
    set_sequence(last + 50)
    call_command("restart_sequence")
    assert "is not behind" in capsys.readouterr().out
    assert append("counter-a", [Counted("a")], expected=ANY).position == last + 51


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
@ways
def test_a_transaction_of_another_isolation_is_refused(way, isolation):
    append("counter-a", [Counted("a")], expected=ANY)
    with pytest.raises(NotReadCommitted, match=f"not {isolation.lower()}"), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(f"SET TRANSACTION ISOLATION LEVEL {isolation}")
        way()
    assert Event.objects.count() == 1


def test_beside_a_large_append_that_is_not_committed_an_append_reads_no_more_than_before(another):
    """The look at what comes later begins at the position that was given, so that it walks along
    nothing."""
    append("counter-a", [Counted("a")], expected=ANY)
    slow = another()
    slow.execute("BEGIN")
    slow.execute(LARGE_APPEND)
    assert pages_read_by_an_append() < 60
    slow.execute("ROLLBACK")
    assert step.step("toy.tallies")


def pages_read_by_an_append():
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute(
                "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT eventstore_append_one("
                "%s, 1, gen_random_uuid(), 'toy.counted', 1::smallint, '{\"counter_id\": \"b\"}',"
                " gen_random_uuid(), NULL, '{}')",
                [f"counter-{uuid7()}"],
            )
            plan = cursor.fetchone()[0][0]["Plan"]
    return plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


LARGE_APPEND = """
    SELECT eventstore_append(json_agg(json_build_object(
        'stream', 'counter-large', 'version', n, 'expected', CASE n WHEN 1
            THEN 0 END, 'id', gen_random_uuid(),
        'type', 'toy.counted', 'schema_version', 1, 'data', '{"counter_id": "large"}'::json,
        'correlation_id', gen_random_uuid(), 'metadata', '{}'::json
    )), NULL)
    FROM generate_series(1, 10000) AS n
"""
