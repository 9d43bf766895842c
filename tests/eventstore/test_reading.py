"""Reading a stream from either end, and the log by position, type and correlation."""

from itertools import islice

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from eventstore import store
from eventstore.codec import Undecodable
from eventstore.messages import Metadata
from eventstore.registry import UnknownType
from eventstore.store import ANY, NO_STREAM, append

from .toy import Closed, Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(store, "PAGE", 3)


def fill(count, name="a"):
    append(f"counter-{name}", [Counted(name, number) for number in range(1, count + 1)], expected=ANY)


def versions(messages):
    return [message.version for message in messages]


class TestAStream:
    def test_forwards_from_one_version_to_another(self):
        fill(5)
        assert versions(store.read_stream("counter-a")) == [1, 2, 3, 4, 5]
        assert versions(store.read_stream("counter-a", from_version=3)) == [3, 4, 5]
        assert versions(store.read_stream("counter-a", to_version=2)) == [1, 2]
        assert versions(store.read_stream("counter-a", from_version=2, to_version=4)) == [2, 3, 4]
        assert versions(store.read_stream("counter-a", from_version=6)) == []

    def test_up_to_a_time_the_moment_itself_included(self):
        for _ in range(4):
            fill(1)
        third = list(store.read_stream("counter-a"))[2]
        assert versions(store.read_stream("counter-a", until=third.recorded_at)) == [1, 2, 3]
        assert versions(store.read_stream("counter-a", from_version=2, until=third.recorded_at)) == [2, 3]

    def test_backwards_from_the_end_or_from_a_version(self):
        fill(5)
        assert versions(store.read_backwards("counter-a")) == [5, 4, 3, 2, 1]
        assert versions(store.read_backwards("counter-a", from_version=3)) == [3, 2, 1]

    @pytest.mark.parametrize("count", [2, 3, 4, 7, 9])
    def test_every_page_is_read_and_none_twice(self, small_pages, count):
        fill(count)
        fill(2, "b")
        forwards = list(range(1, count + 1))
        assert versions(store.read_stream("counter-a")) == forwards
        assert versions(store.read_stream("counter-a", to_version=count - 1)) == forwards[:-1]
        assert versions(store.read_backwards("counter-a")) == forwards[::-1]

    def test_more_than_a_page_of_the_real_size(self):
        fill(store.PAGE + 1)
        assert versions(store.read_stream("counter-a")) == list(range(1, store.PAGE + 2))

    def test_who_wants_the_last_event_only_reads_one_page(self, small_pages):
        fill(9)
        with CaptureQueriesContext(connection) as queries:
            assert versions(islice(store.read_backwards("counter-a"), 1)) == [9]
        assert len(queries) == 1

    def test_a_stream_that_is_not_there_is_empty(self):
        assert list(store.read_stream("counter-x")) == list(store.read_backwards("counter-x")) == []

    def test_only_what_is_newer_of_many_streams_in_one_query(self):
        for name in "abc":
            fill(3, name)
        with CaptureQueriesContext(connection) as queries:
            newer = list(store.read_newer({"counter-a": 3, "counter-b": 1, "counter-c": 0, "counter-x": 0}))
        assert len(queries) == 1
        found = [(message.stream, message.version) for message in newer]
        assert [version for stream, version in found if stream == "counter-b"] == [2, 3]
        assert [version for stream, version in found if stream == "counter-c"] == [1, 2, 3]
        assert len(found) == 5


class TestTheLog:
    def test_the_whole_log_is_in_global_order(self):
        fill(2, "a")
        fill(2, "b")
        fill(2, "a")
        streams = [message.stream for message in store.read_log()]
        assert streams == ["counter-a"] * 2 + ["counter-b"] * 2 + ["counter-a"] * 2
        positions = [message.position for message in store.read_log()]
        assert positions == sorted(set(positions))

    def test_between_two_positions_the_first_excluded(self, small_pages):
        fill(10)
        positions = [message.position for message in store.read_log()]
        assert len(positions) == 10
        some = [message.position for message in store.read_log(after=positions[1], until=positions[8])]
        assert some == positions[2:9]

    def test_of_given_types_only(self, small_pages):
        fill(4)
        append("counter-a", [Closed("a")], expected=4)
        fill(4, "b")
        append("counter-b", [Closed("b")], expected=4)
        assert [type(message.body) for message in store.read_log(types=["toy.closed"])] == [Closed, Closed]
        assert len(list(store.read_log(types=["toy.counted"]))) == 8
        assert len(list(store.read_log(types=["toy.counted", "toy.closed"]))) == 10
        assert list(store.read_log(types=["toy.other"])) == []

    def test_only_up_to_the_fence(self, another):
        fill(1)
        slow = another()
        slow.execute("BEGIN")
        slow.execute(RAW_APPEND, {"stream": "counter-slow"})
        fill(1, "b")

        assert [message.stream for message in store.read_log()] == ["counter-a"]
        slow.execute("COMMIT")
        assert [message.stream for message in store.read_log()] == ["counter-a", "counter-slow", "counter-b"]

    def test_all_of_one_business_transaction(self):
        correlation_id = uuid7()
        append("counter-a", [Counted("a")], expected=NO_STREAM, metadata=Metadata(correlation_id))
        fill(1, "b")
        append("counter-a", [Closed("a")], expected=1, metadata=Metadata(correlation_id))

        found = store.read_correlated(correlation_id)
        assert [type(message.body) for message in found] == [Counted, Closed]
        assert store.read_correlated(uuid7()) == []


class TestWhatCannotBeRead:
    def test_an_unknown_type_is_an_error_not_a_hole(self, wire):
        fill(1)
        append("counter-a", [Closed("a")], expected=1)
        wire(EVENTS=[{"toy.counted": Counted}], SUBSCRIPTIONS={})
        with pytest.raises(UnknownType, match="toy.closed"):
            list(store.read_stream("counter-a"))

    def test_data_that_does_not_fit_is_an_error_that_names_the_class(self):
        with connection.cursor() as cursor, transaction.atomic():
            cursor.execute(RAW_APPEND, {"stream": "counter-a"})
            cursor.execute("ALTER TABLE eventstore_event DISABLE TRIGGER USER")
            cursor.execute("""UPDATE eventstore_event SET data = '{"counter_id": 5}'""")
            cursor.execute("ALTER TABLE eventstore_event ENABLE TRIGGER USER")
            with pytest.raises(Undecodable, match="Counted"):
                list(store.read_stream("counter-a"))
            transaction.set_rollback(True)


RAW_APPEND = """
    SELECT eventstore_append(jsonb_build_array(jsonb_build_object(
        'stream', %(stream)s::text, 'version', 1, 'expected', 0, 'id', gen_random_uuid(), 'type', 'toy.counted',
        'schema_version', 1, 'data', '{"counter_id": "slow"}'::jsonb, 'correlation_id', gen_random_uuid(),
        'metadata', '{}'::jsonb
    )), NULL)
"""
