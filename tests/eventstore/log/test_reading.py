"""Reading a stream from either end, and the log by position, type and correlation."""

import re
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg import sql
from uuid_utils.compat import uuid7

from eventstore import log, settings
from eventstore.codec import Undecodable
from eventstore.log import ANY, NO_STREAM, append, page_size, scan, streams
from eventstore.messages import Metadata
from eventstore.models import Event
from eventstore.postgres import prepared, rows
from eventstore.registry import UnknownType
from eventstore.testing import unguarded
from tests.eventstore.toy import COUNTER, Closed, Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def small_pages(monkeypatch):
    of_streams = ("FORWARDS", "BACKWARDS")
    of_the_log = ("LOG", "LOG_OF_TYPES", "CATEGORY", "CORRELATED", "LOG_BACKWARDS")
    for module, names in (streams, of_streams), (scan, (*of_the_log, "CATEGORY_BACKWARDS")):
        for name in names:
            statement = getattr(module, f"READ_{name}")
            monkeypatch.setattr(
                module, f"READ_{name}", statement.replace(f"LIMIT {page_size.PAGE}", "LIMIT 3")
            )
    monkeypatch.setattr(page_size, "PAGE", 3)


def fill(count, name="a"):
    append(
        f"counter-{name}", [Counted(name, number) for number in range(1, count + 1)], expected=ANY
    )


def versions(messages):
    return [message.version for message in messages]


class TestAStream:
    def test_forwards_from_one_version_to_another(self):
        fill(5)
        assert versions(log.read_stream("counter-a")) == [1, 2, 3, 4, 5]
        assert versions(log.read_stream("counter-a", from_version=3)) == [3, 4, 5]
        assert versions(log.read_stream("counter-a", to_version=2)) == [1, 2]
        assert versions(log.read_stream("counter-a", from_version=2, to_version=4)) == [2, 3, 4]
        assert versions(log.read_stream("counter-a", from_version=6)) == []

    def test_up_to_a_time_the_moment_itself_included(self):
        for _ in range(4):
            fill(1)
        third = list(log.read_stream("counter-a"))[2]
        assert versions(log.read_stream("counter-a", until=third.recorded_at)) == [1, 2, 3]
        assert versions(log.read_stream("counter-a", from_version=2, until=third.recorded_at)) == [
            2,
            3,
        ]

    def test_up_to_a_time_it_is_the_beginning_of_the_stream_also_where_the_clock_was_set_back(self):
        noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
        for seconds in (0, 2, 10, 4, 12):
            fill(1)
            set_clock(noon + timedelta(seconds=seconds))
        for until, expected in (
            (1, [1]),
            (2, [1, 2]),
            (5, [1, 2]),
            (10, [1, 2, 3, 4]),
            (12, [1, 2, 3, 4, 5]),
        ):
            found = log.read_stream("counter-a", until=noon + timedelta(seconds=until))
            assert versions(found) == expected

    def test_backwards_from_the_end_or_from_a_version(self):
        fill(5)
        assert versions(log.read_backwards("counter-a")) == [5, 4, 3, 2, 1]
        assert versions(log.read_backwards("counter-a", from_version=3)) == [3, 2, 1]

    @pytest.mark.parametrize("count", [2, 3, 4, 7, 9])
    def test_every_page_is_read_and_none_twice(self, small_pages, count):
        fill(count)
        fill(2, "b")
        forwards = list(range(1, count + 1))
        assert versions(log.read_stream("counter-a")) == forwards
        assert versions(log.read_stream("counter-a", to_version=count - 1)) == forwards[:-1]
        assert versions(log.read_backwards("counter-a")) == forwards[::-1]

    def test_more_than_a_page_of_the_real_size(self):
        fill(log.PAGE + 1)
        assert versions(log.read_stream("counter-a")) == list(range(1, log.PAGE + 2))

    def test_who_wants_the_last_event_only_reads_one_page(self, small_pages):
        fill(9)
        with CaptureQueriesContext(connection) as queries:
            assert versions(islice(log.read_backwards("counter-a"), 1)) == [9]
        assert len(queries) == 1

    def test_a_stream_that_is_not_there_is_empty(self):
        assert list(log.read_stream("counter-x")) == list(log.read_backwards("counter-x")) == []

    def test_only_what_is_newer_of_many_streams_in_one_query(self):
        for name in "abc":
            fill(3, name)
        with CaptureQueriesContext(connection) as queries:
            newer = list(
                log.read_newer({"counter-a": 3, "counter-b": 1, "counter-c": 0, "counter-x": 0})
            )
        assert len(queries) == 1
        found = [(stream, version) for stream, version, _ in newer]
        assert [version for stream, version in found if stream == "counter-b"] == [2, 3]
        assert [version for stream, version in found if stream == "counter-c"] == [1, 2, 3]
        assert len(found) == 5


class TestTheLog:
    def test_the_whole_log_is_in_global_order(self):
        fill(2, "a")
        fill(2, "b")
        fill(2, "a")
        found = [message.stream for message in log.read_log()]
        assert found == ["counter-a"] * 2 + ["counter-b"] * 2 + ["counter-a"] * 2
        positions = [message.position for message in log.read_log()]
        assert positions == sorted(set(positions))

    def test_between_two_positions_the_first_excluded(self, small_pages):
        fill(10)
        positions = [message.position for message in log.read_log()]
        assert len(positions) == 10
        some = [
            message.position for message in log.read_log(after=positions[1], until=positions[8])
        ]
        assert some == positions[2:9]

    def test_of_given_types_only(self, small_pages):
        fill(4)
        append("counter-a", [Closed("a")], expected=4)
        fill(4, "b")
        append("counter-b", [Closed("b")], expected=4)
        assert [type(message.body) for message in log.read_log(types=["toy.closed"])] == [
            Closed,
            Closed,
        ]
        assert len(list(log.read_log(types=["toy.counted"]))) == 8
        assert len(list(log.read_log(types=["toy.counted", "toy.closed"]))) == 10
        assert list(log.read_log(types=["toy.other"])) == []

    def test_only_up_to_the_fence(self, another):
        fill(1)
        slow = another()
        slow.execute("BEGIN")
        slow.execute(RAW_APPEND, {"stream": "counter-slow"})
        fill(1, "b")

        assert [message.stream for message in log.read_log()] == ["counter-a"]
        slow.execute("COMMIT")
        assert [message.stream for message in log.read_log()] == [
            "counter-a",
            "counter-slow",
            "counter-b",
        ]

    def test_all_of_one_business_transaction(self):
        correlation_id = uuid7()
        append("counter-a", [Counted("a")], expected=NO_STREAM, metadata=Metadata(correlation_id))
        fill(1, "b")
        append("counter-a", [Closed("a")], expected=1, metadata=Metadata(correlation_id))

        found = list(log.read_correlated(correlation_id))
        assert [type(message.body) for message in found] == [Counted, Closed]
        assert list(log.read_correlated(correlation_id, after=found[0].position)) == found[1:]
        assert list(log.read_correlated(uuid7())) == []

    def test_a_long_business_transaction_is_read_in_pages(self, small_pages):
        metadata = Metadata(uuid7())
        for name in "abc":
            append(f"counter-{name}", [Counted(name)] * 5, expected=ANY, metadata=metadata)
            fill(2, name)
        found = log.read_correlated(metadata.correlation_id)
        assert [message.stream[-1] for message in found] == ["a"] * 5 + ["b"] * 5 + ["c"] * 5


@pytest.mark.skipif(not settings.fast_path(), reason="psycopg's cursor does not read ahead")
class TestReadingAhead:
    """Outside of a transaction, a page is looked for while the one before it is decoded."""

    @pytest.fixture(autouse=True)
    def _asked_often(self, toys, small_pages):
        fill(10)
        for _ in range(3):
            assert len(list(log.read_log())) == 10

    @pytest.fixture
    def sent(self, monkeypatch):
        """How many pages were asked for ahead."""
        asked, send = [], prepared.send

        def watched(*args):
            take = send(*args)
            if take is not None:
                asked.append(args)
            return take

        monkeypatch.setattr(prepared, "send", watched)
        return asked

    def test_every_page_but_the_first_is_asked_for_ahead(self, sent):
        assert [message.version for message in log.read_log()] == list(range(1, 11))
        assert len(sent) == 3

    def test_who_is_given_an_event_may_use_the_connection_and_write(self, sent):
        for message in log.read_log():
            fill(1, f"of-{message.version}")
        assert len(sent) == 3
        assert len(list(log.read_log())) == 20

    def test_in_a_transaction_there_is_nobody_to_wait(self, sent):
        with transaction.atomic():
            assert versions(log.read_log()) == list(range(1, 11))
        assert sent == []

    def test_the_events_before_one_that_cannot_be_read_are_given(self, sent, wire):
        append("counter-a", [Closed("a")], expected=10)
        fill(4, "b")
        wire(EVENTS=[{"toy.counted": Counted}], SUBSCRIPTIONS={})
        given = []
        with pytest.raises(UnknownType, match="toy.closed'. If it was renamed, list it in"):
            for message in log.read_log():
                given.append(message.version)
        assert given == list(range(1, 11))
        assert len(sent) == 4
        assert rows("SELECT 1") == [(1,)]

    def test_a_statement_that_somebody_has_let_go_of_is_asked_again(self, sent):
        reading_ = log.read_log()
        assert versions(islice(reading_, 3)) == [1, 2, 3]
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
        assert versions(reading_) == list(range(4, 11))

    def test_a_connection_that_is_cut_is_an_operational_error(self, another, monkeypatch):
        decode = scan.recorded

        def cut_off(page):
            another().execute(
                "SELECT pg_terminate_backend(%s, 1000)", [connection.connection.info.backend_pid]
            )
            return decode(page)

        monkeypatch.setattr(scan, "recorded", cut_off)
        with pytest.raises(OperationalError):
            list(log.read_log(until=log.LAST_POSITION))
        connection.close()


class TestACategory:
    def test_all_its_streams_are_in_global_order_and_no_others(self, small_pages):
        for name in "abab":
            fill(2, name)
            append("other-a", [Counted("a")], expected=ANY)
            append("counter_x-a", [Counted("a")], expected=ANY)
        found = list(log.read_category("counter"))
        assert [message.stream for message in found] == [f"counter-{name}" for name in "aabbaabb"]
        assert len(list(log.read_category("other"))) == 4
        assert list(log.read_category("count")) == []

    def test_between_two_positions_the_first_excluded(self, small_pages):
        fill(10)
        positions = [message.position for message in log.read_log()]
        some = log.read_category("counter", after=positions[1], until=positions[8])
        assert [message.position for message in some] == positions[2:9]

    def test_an_event_that_its_aggregate_does_not_evolve_on_belongs_to_it_all_the_same(self, wire):
        fill(1)
        append("counter-a", [Closed("a")], expected=1)
        wire(AGGREGATES=[COUNTER._replace(evolve={Counted: COUNTER.evolve[Counted]})])
        assert [type(message.body) for message in log.read_category("counter")] == [Counted, Closed]

    def test_only_up_to_the_fence(self, another):
        fill(1)
        slow = another()
        slow.execute("BEGIN")
        slow.execute(RAW_APPEND, {"stream": "counter-slow"})
        fill(1, "b")

        assert [message.stream for message in log.read_category("counter")] == ["counter-a"]
        slow.execute("COMMIT")
        assert len(list(log.read_category("counter"))) == 3

    def test_who_wants_the_first_events_only_reads_one_page(self, small_pages):
        fill(9)
        with CaptureQueriesContext(connection) as queries:
            assert versions(islice(log.read_category("counter", until=10**9), 3)) == [1, 2, 3]
        assert len(queries) == 1


class TestWhatCannotBeRead:
    def test_an_unknown_type_is_an_error_not_a_hole(self, wire):
        fill(1)
        append("counter-a", [Closed("a")], expected=1)
        wire(EVENTS=[{"toy.counted": Counted}], SUBSCRIPTIONS={})
        with pytest.raises(UnknownType, match="toy.closed"):
            list(log.read_stream("counter-a"))

    def test_data_that_does_not_fit_is_an_error_that_names_the_class(self):
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute(RAW_APPEND, {"stream": "counter-a"})
            cursor.execute("ALTER TABLE eventstore_event DISABLE TRIGGER USER")
            cursor.execute("""UPDATE eventstore_event SET data = '{"counter_id": 5}'""")
            cursor.execute("ALTER TABLE eventstore_event ENABLE TRIGGER USER")
            with pytest.raises(Undecodable, match="Counted"):
                list(log.read_stream("counter-a"))
            transaction.set_rollback(True)


class TestNoMoreThanSoMany:
    @pytest.fixture
    def two_streams(self):
        for _ in range(4):
            fill(2, "a")
            fill(1, "b")
        append("other-a", [Counted("c", 1)], expected=NO_STREAM)

    READS = {
        "stream": lambda **limit: log.read_stream("counter-a", **limit),
        "stream backwards": lambda **limit: log.read_backwards("counter-a", **limit),
        "log": log.read_log,
        "log of types": lambda **limit: log.read_log(types=["toy.counted"], **limit),
        "log backwards": log.read_log_backwards,
        "category": lambda **limit: log.read_category("counter", **limit),
        "category backwards": lambda **limit: log.read_category_backwards("counter", **limit),
    }

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 7, 20, 21, 1000])
    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_it_is_the_beginning_of_all_there_is(self, two_streams, read, limit):
        assert list(read(limit=limit)) == list(read())[:limit]

    @pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 7, 20])
    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_also_over_several_pages(self, two_streams, small_pages, read, limit):
        assert list(read(limit=limit)) == list(read())[:limit]

    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_one_page_is_asked_for_where_it_is_enough(self, two_streams, read):
        with CaptureQueriesContext(connection) as queries:
            list(read(limit=1))
        asked = [query["sql"] for query in queries if "eventstore_fence" not in query["sql"]]
        assert len(asked) == 1
        assert "LIMIT 1" in asked[0]

    @pytest.mark.parametrize("limit", [-1, 1.5, True, "1"])
    @pytest.mark.parametrize("read", READS.values(), ids=READS)
    def test_what_is_no_number_of_events_is_refused_at_once(self, read, limit):
        with pytest.raises(log.InvalidLimit, match="Invalid limit"):
            read(limit=limit)


class TestBackwards:
    def test_the_log_and_a_category_are_what_they_are_forwards(self, small_pages):
        for name in "abab":
            fill(3, name)
        assert list(log.read_log_backwards()) == list(log.read_log())[::-1]
        assert (
            list(log.read_category_backwards("counter")) == list(log.read_category("counter"))[::-1]
        )
        assert list(log.read_category_backwards("other")) == []

    def test_from_before_a_position(self):
        fill(5)
        positions = [message.position for message in log.read_log()]
        for read in (
            log.read_log_backwards,
            lambda **before: log.read_category_backwards("counter", **before),
        ):
            assert [message.position for message in read(before=positions[2])] == positions[1::-1]

    def test_and_no_later_than_the_fence(self, another):
        fill(1)
        slow = another()
        slow.execute("BEGIN")
        slow.execute(RAW_APPEND, {"stream": "counter-slow"})
        fill(1, "b")
        for before in (None, log.LAST_POSITION):
            assert [message.stream for message in log.read_log_backwards(before=before)] == [
                "counter-a"
            ]
            assert len(list(log.read_category_backwards("counter", before=before))) == 1


class TestOneEvent:
    def test_by_its_id(self):
        fill(3)
        second = list(log.read_stream("counter-a"))[1]
        assert log.read_event(second.id) == second
        assert log.read_event(uuid7()) is None

    def test_the_last_one_of_a_stream(self):
        fill(3)
        assert log.read_last("counter-a").version == 3
        assert log.read_last("counter-x") is None

    def test_where_each_event_of_an_append_stands(self):
        fill(1)
        appended = log.append_all(
            {"counter-b": (ANY, [Counted("b")] * 2), "counter-c": (NO_STREAM, [Counted("c")])}
        )
        found = [(message.position, message.stream) for message in log.read_log(after=1)]
        assert found == list(
            zip(appended.positions, ["counter-b", "counter-b", "counter-c"], strict=True)
        )
        assert appended.position == appended.positions[-1]


class TestALargeLog:
    """However much there is, a page is found by an index, and what is not asked for is not read."""

    EVENTS = 50_000

    @pytest.fixture(params=["analyzed", "young"])
    def large(self, request):
        """Three categories, one of them rare; two types, one of them rare; business transactions of
        50 events.

        young: nobody has analyzed the table yet, so that the planner has nothing but its defaults.
        """
        with connection.cursor() as cursor:
            cursor.execute(LARGE, [self.EVENTS])
            cursor.execute("ANALYZE eventstore_event")
            if request.param == "young":
                cursor.execute(
                    "DELETE FROM pg_statistic WHERE starelid = 'eventstore_event'::regclass"
                )

    @pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
    def test_every_read_is_backed_by_an_index(self, large, mode):
        last, page = self.EVENTS, log.PAGE
        somewhere = Event.objects.get(position=self.EVENTS // 2).correlation_id
        statements = {
            "forwards": (streams.READ_FORWARDS, ["many-7", 1, log.LAST_VERSION]),
            "backwards": (streams.READ_BACKWARDS, ["many-7", log.LAST_VERSION]),
            "newer": (streams.READ_NEWER, [["many-7", "few-3"], [0, 0]]),
            "log": (scan.READ_LOG, [0, last]),
            "log from the middle": (scan.READ_LOG, [self.EVENTS // 2, last]),
            "common type": (scan.READ_LOG_OF_TYPES, [last, ["toy.counted"], 0]),
            "rare type": (scan.READ_LOG_OF_TYPES, [last, ["toy.closed"], 0]),
            "common category": (scan.READ_CATEGORY, ["many", 0, "many", last]),
            "rare category": (scan.READ_CATEGORY, ["few", 0, "few", last]),
            "log backwards": (scan.READ_LOG_BACKWARDS, [last + 1]),
            "log backwards from the middle": (scan.READ_LOG_BACKWARDS, [self.EVENTS // 2]),
            "common category backwards": (scan.READ_CATEGORY_BACKWARDS, ["many", last, "many"]),
            "rare category backwards": (scan.READ_CATEGORY_BACKWARDS, ["few", last, "few"]),
            "one event": (streams.READ_EVENT, [Event.objects.get(position=7).id]),
            "correlation": (scan.READ_CORRELATED, [somewhere, 0]),
        }
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL plan_cache_mode = {mode}")
            for name, (statement, parameters) in statements.items():
                plan = explained(cursor, statement, parameters)
                assert "Seq Scan" not in plan, f"{name}:\n{plan}"
                assert rows_touched(plan) <= 4 * page, f"{name}:\n{plan}"


def explained(cursor, statement, parameters):
    """The plan as it ran, prepared as the engine prepares it."""
    for number in range(statement.count("%s"), 0, -1):
        head, _, tail = statement.rpartition("%s")
        statement = f"{head}${number}{tail}"
    literals = [sql.Literal(each).as_string(connection.connection) for each in parameters]
    types = ", ".join(["unknown"] * len(parameters))
    cursor.execute(f"PREPARE asked ({types}) AS {statement}")
    cursor.execute(
        f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) EXECUTE asked ({', '.join(literals)})"
    )
    plan = "\n".join(line for (line,) in cursor.fetchall())
    cursor.execute("DEALLOCATE asked")
    return plan


def rows_touched(plan):
    """What the scans of tables and indexes returned, and what their filters threw away."""
    scanned = [line for line in plan.splitlines() if "Scan" in line or "Rows Removed" in line]
    return sum(
        int(float(number))
        for line in scanned
        for number in re.findall(r"(?:rows=|Filter: )([\d.]+)", line)
    )


def set_clock(at):
    """Of the newest event: as if the server's clock had stood there when it was recorded."""
    with unguarded():
        Event.objects.filter(position=Event.objects.latest("position").position).update(
            recorded_at=at
        )


LARGE = """
    INSERT INTO eventstore_event (
        position, id, stream, version, type, schema_version, data, correlation_id, causation_id,
            metadata
    )
    SELECT n, gen_random_uuid(),
           CASE WHEN n %% 500 = 0 THEN 'few-' || n %% 7
                WHEN n %% 3 = 0 THEN 'some-' || n %% 100
                ELSE 'many-' || n %% 1000 END,
           n, CASE WHEN n %% 100 = 0 THEN 'toy.closed' ELSE 'toy.counted' END, 1,
           '{"counter_id": "a"}', md5((n / 50)::text)::uuid, NULL, '{}'
    FROM generate_series(1, %s) AS n
"""

RAW_APPEND = """
    SELECT eventstore_append(json_build_array(json_build_object(
        'stream', %(stream)s::text, 'version', 1, 'expected', 0, 'id', gen_random_uuid(), 'type',
            'toy.counted',
        'schema_version', 1, 'data', '{"counter_id": "slow"}'::json, 'correlation_id',
            gen_random_uuid(),
        'metadata', '{}'::json
    )), NULL)
"""
