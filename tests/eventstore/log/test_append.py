"""Appending: who was first, how many streams, how often; on a real PostgreSQL, with real rivals."""

import threading
import time
from pathlib import Path
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from uuid_utils.compat import uuid7

from eventstore import aggregate, codec, log, messages, registry
from eventstore.commands import bus
from eventstore.log import (
    ANY,
    LAST_VERSION,
    NO_STREAM,
    STREAM_EXISTS,
    EventIdTaken,
    InvalidStreamName,
    StreamFull,
    WrongExpectedVersion,
    append,
    append_all,
    epochs,
)
from eventstore.messages import Metadata
from eventstore.models import Event, OutboxMessage
from tests.eventstore.concurrently import in_thread, until_waiting
from tests.eventstore.toy import Count, Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


def counts(*amounts, of="a"):
    return [Counted(of, amount) for amount in amounts]


def stored(stream):
    return [(message.version, message.body.amount) for message in log.read_stream(stream)]


def ids(count):
    return [uuid7() for _ in range(count)]


class TestVersions:
    def test_a_new_stream_begins_at_version_one(self):
        appended = append("counter-a", counts(1, 2), expected=NO_STREAM)

        assert appended.versions == {"counter-a": 2}
        assert stored("counter-a") == [(1, 1), (2, 2)]

    def test_the_exact_version_goes_on_from_there(self):
        append("counter-a", counts(1, 2), expected=NO_STREAM)
        appended = append("counter-a", counts(3), expected=2)

        assert appended.versions == {"counter-a": 3}
        assert stored("counter-a") == [(1, 1), (2, 2), (3, 3)]

    def test_the_answer_names_the_last_position(self):
        appended = append("counter-a", counts(1, 2, 3), expected=NO_STREAM)
        assert appended.position == Event.objects.get(version=3).position

    @pytest.mark.parametrize("expected", [NO_STREAM, 1])
    def test_who_comes_second_is_told_both_versions(self, expected):
        append("counter-a", counts(1, 2), expected=NO_STREAM)

        with pytest.raises(WrongExpectedVersion) as refused:
            append("counter-a", counts(3), expected=expected)

        assert (refused.value.stream, refused.value.expected, refused.value.actual) == (
            "counter-a",
            expected,
            2,
        )
        assert stored("counter-a") == [(1, 1), (2, 2)]

    def test_a_gap_is_refused(self):
        append("counter-a", counts(1, 2, 3), expected=NO_STREAM)

        with pytest.raises(WrongExpectedVersion) as refused:
            append("counter-a", counts(6), expected=5)

        assert (refused.value.expected, refused.value.actual) == (5, 3)
        assert Event.objects.count() == 3

    def test_a_stream_that_is_not_there_cannot_be_gone_on_with(self):
        with pytest.raises(WrongExpectedVersion) as refused:
            append("counter-a", counts(1), expected=1)
        assert (refused.value.expected, refused.value.actual) == (1, 0)

    def test_stream_exists_wants_a_stream_and_any_version_of_it(self):
        with pytest.raises(WrongExpectedVersion) as refused:
            append("counter-a", counts(1), expected=STREAM_EXISTS)
        assert (refused.value.stream, refused.value.expected, refused.value.actual) == (
            "counter-a",
            STREAM_EXISTS,
            0,
        )

        append("counter-a", counts(1, 2), expected=NO_STREAM)
        assert append("counter-a", counts(3, 4), expected=STREAM_EXISTS).versions == {
            "counter-a": 4
        }

    def test_any_takes_a_stream_as_it_is(self):
        assert append("counter-a", counts(1), expected=ANY).versions == {"counter-a": 1}
        assert append("counter-a", counts(2, 3), expected=ANY).versions == {"counter-a": 3}
        assert stored("counter-a") == [(1, 1), (2, 2), (3, 3)]

    def test_names_that_only_begin_alike_are_different_streams(self):
        append("counter-a", counts(1), expected=NO_STREAM)
        append("counter-a-b", counts(1, of="a-b"), expected=NO_STREAM)
        assert stored("counter-a") == [(1, 1)]


class TestNames:
    @pytest.mark.parametrize(
        "stream",
        ["", "counter", "counter-", "-a", "Counter-a", "1counter-a", "a b-c"]
        + ["counter-\x00", "counter-\n", "counter-\ud800", "counter-" + "x" * 201, "c" * 64 + "-a"],
    )
    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_what_is_no_name_for_a_stream_is_refused(self, stream, expected):
        with pytest.raises(InvalidStreamName) as refused:
            append(stream, counts(1), expected=expected)
        assert refused.value.stream == stream

    @pytest.mark.parametrize(
        "stream", ["counter-" + "\U0001f600" * 200, "c" * 63 + "-a", "counter-a-b", "counter- "]
    )
    def test_the_longest_and_the_oddest_that_are_allowed_can_be_read(self, stream):
        append(stream, counts(1), expected=NO_STREAM)
        assert stored(stream) == [(1, 1)]

    def test_a_command_about_a_stream_of_no_such_name_is_not_owed(self):
        with pytest.raises(InvalidStreamName):
            bus.enqueue([Count("x" * 201)])
        assert OutboxMessage.objects.count() == 0


class TestTheLastVersion:
    @pytest.fixture
    def long_stream(self):
        append("counter-a", counts(1), expected=NO_STREAM)
        with connection.cursor() as cursor:
            cursor.execute(LONG, [LAST_VERSION - 1])

    def test_a_stream_has_versions_up_to_the_last_one(self, long_stream):
        appended = append("counter-a", counts(1), expected=LAST_VERSION - 1)
        assert appended.versions == {"counter-a": LAST_VERSION}
        assert [message.version for message in log.read_backwards("counter-a")][0] == LAST_VERSION

    @pytest.mark.parametrize("expected", [LAST_VERSION - 1, ANY, STREAM_EXISTS])
    def test_and_none_after_it(self, long_stream, expected):
        with pytest.raises(StreamFull):
            append("counter-a", counts(1, 2), expected=expected)
        assert Event.objects.count() == 2


class TestSeveralStreams:
    def test_all_are_written_with_their_own_versions(self):
        append("counter-b", counts(1, of="b"), expected=NO_STREAM)
        appended = append_all(
            {"counter-a": (NO_STREAM, counts(1, 2)), "counter-b": (1, counts(2, of="b"))}
        )

        assert appended.versions == {"counter-a": 2, "counter-b": 2}

    @pytest.mark.parametrize("first", ["counter-a", "counter-b"])
    def test_one_conflict_refuses_all(self, first):
        append("counter-b", counts(1, of="b"), expected=NO_STREAM)
        streams = {"counter-a": (NO_STREAM, counts(1)), "counter-b": (NO_STREAM, counts(2, of="b"))}

        with pytest.raises(WrongExpectedVersion) as refused:
            append_all({first: streams[first]} | streams)

        assert (refused.value.stream, refused.value.expected, refused.value.actual) == (
            "counter-b",
            0,
            1,
        )
        assert stored("counter-a") == []

    def test_an_exact_version_counts_also_beside_an_any(self):
        append("counter-b", counts(1, 2, 3, of="b"), expected=NO_STREAM)

        with pytest.raises(WrongExpectedVersion) as refused:
            append_all({"counter-a": (ANY, counts(1)), "counter-b": (2, counts(9, of="b"))})

        assert (refused.value.stream, refused.value.expected, refused.value.actual) == (
            "counter-b",
            2,
            3,
        )
        assert Event.objects.count() == 3

    def test_an_exact_version_and_an_any_are_written_together(self):
        append("counter-b", counts(1, of="b"), expected=NO_STREAM)
        appended = append_all(
            {"counter-a": (ANY, counts(1, 2)), "counter-b": (1, counts(2, 3, of="b"))}
        )

        assert appended.versions == {"counter-a": 2, "counter-b": 3}


class TestRepeats:
    @pytest.fixture(
        params=[NO_STREAM, 1, STREAM_EXISTS, ANY], ids=["no stream", "exact", "exists", "any"]
    )
    def expected(self, request):
        """Every form of expectation, with the stream as it must be for it to hold."""
        if request.param in (1, STREAM_EXISTS):
            append("counter-a", counts(0), expected=NO_STREAM)
        return request.param

    def test_the_same_ids_again_write_nothing_and_give_the_first_answer(self, expected):
        once = ids(2)
        first = append("counter-a", counts(1, 2), expected=expected, ids=once)
        before = Event.objects.count(), OutboxMessage.objects.count()

        assert append("counter-a", counts(1, 2), expected=expected, ids=once) == first
        assert (Event.objects.count(), OutboxMessage.objects.count()) == before

    def test_a_repeat_succeeds_also_when_others_have_gone_on(self, expected):
        once = ids(2)
        first = append("counter-a", counts(1, 2), expected=expected, ids=once)
        append("counter-a", counts(3), expected=first.versions["counter-a"])

        assert append("counter-a", counts(1, 2), expected=expected, ids=once) == first
        assert [amount for _, amount in stored("counter-a")][-3:] == [1, 2, 3]

    @pytest.mark.parametrize("known", ["first", "last"])
    def test_a_repeat_of_which_only_a_part_is_there_is_refused_whole(self, expected, known):
        once = ids(2)
        append(
            "counter-a",
            counts(1),
            expected=expected,
            ids=once[:1] if known == "first" else once[1:],
        )
        before = stored("counter-a")

        with pytest.raises((WrongExpectedVersion, EventIdTaken)):
            append("counter-a", counts(1, 2), expected=expected, ids=once)

        assert stored("counter-a") == before

    def test_the_same_id_twice_in_one_append_is_refused(self, expected):
        before = stored("counter-a")
        with pytest.raises(EventIdTaken):
            append("counter-a", counts(1, 2), expected=expected, ids=ids(1) * 2)
        assert stored("counter-a") == before

    def test_a_repeat_over_several_streams_writes_nothing(self):
        once = ids(2)
        streams = {"counter-a": (NO_STREAM, counts(1)), "counter-b": (ANY, counts(1, of="b"))}
        assert append_all(streams, ids=once) == append_all(streams, ids=once)
        assert Event.objects.count() == 2

    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_what_is_owed_with_the_events_is_not_owed_twice(self, expected):
        events = log.new_events(
            "counter-a",
            counts(1),
            expected=expected,
            metadata=log.current_metadata(),
            ids=iter(ids(1)),
        )
        outgoing = [log.outgoing(Count("b"), metadata=log.current_metadata())]

        log.write(events, outgoing)
        log.write(events, outgoing)

        assert OutboxMessage.objects.filter(topic="toy").count() == 1

    def test_said_again_it_holds_whatever_has_come_to_its_premises_since(self):
        append("counter-b", counts(1, of="b"), expected=NO_STREAM)
        events = log.new_events(
            "counter-a", counts(1), expected=NO_STREAM, metadata=log.current_metadata()
        )
        condition = log.AppendCondition(epochs.mark(), {"counter-b": 1})
        first = log.write(events, condition=condition)
        append("counter-b", counts(2, of="b"), expected=1)

        assert log.write(events, condition=condition) == first
        assert stored("counter-a") == [(1, 1)]

    def test_half_a_repeat_is_a_conflict(self):
        once = ids(2)
        append("counter-a", counts(1), expected=NO_STREAM, ids=once[:1])

        with pytest.raises(WrongExpectedVersion):
            append("counter-a", counts(1, 2), expected=NO_STREAM, ids=once)

        assert stored("counter-a") == [(1, 1)]

    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_an_id_of_another_stream_is_taken(self, expected):
        once = ids(1)
        append("counter-a", counts(1), expected=NO_STREAM, ids=once)

        with pytest.raises(EventIdTaken):
            append("counter-b", counts(1, of="b"), expected=expected, ids=once)

        assert stored("counter-b") == []

    def test_another_error_of_the_database_keeps_its_name(self):
        with pytest.raises(IntegrityError):
            append(
                "counter-a", counts(1), expected=NO_STREAM, metadata=Metadata(correlation_id=None)
            )


class TestRivals:
    def test_who_loses_to_a_transaction_that_commits_later_is_told(self, another):
        with transaction.atomic():
            append("counter-a", counts(1, 2), expected=NO_STREAM)
            rival = in_thread(lambda: append("counter-a", counts(9), expected=NO_STREAM))
            until_waiting(another())

        with pytest.raises(WrongExpectedVersion) as refused:
            rival.result(5)
        assert (refused.value.stream, refused.value.expected, refused.value.actual) == (
            "counter-a",
            0,
            2,
        )
        assert stored("counter-a") == [(1, 1), (2, 2)]

    def test_who_waits_for_a_transaction_that_rolls_back_wins(self, another):
        with transaction.atomic():
            append("counter-a", counts(1), expected=NO_STREAM)
            rival = in_thread(lambda: append("counter-a", counts(9), expected=NO_STREAM))
            until_waiting(another())
            transaction.set_rollback(True)

        assert rival.result(5).versions == {"counter-a": 1}
        assert stored("counter-a") == [(1, 9)]

    def test_any_goes_on_behind_an_exact_writer_that_commits_later(self, another):
        with transaction.atomic():
            append("counter-a", counts(1, 2), expected=NO_STREAM)
            rival = in_thread(lambda: append("counter-a", counts(9), expected=ANY))
            until_waiting(another())

        assert rival.result(5).versions == {"counter-a": 3}
        assert stored("counter-a") == [(1, 1), (2, 2), (3, 9)]

    def test_the_same_append_at_the_same_time_succeeds_twice_and_is_written_once(self, another):
        once = ids(1)
        with transaction.atomic():
            first = append("counter-a", counts(1), expected=NO_STREAM, ids=once)
            rival = in_thread(lambda: append("counter-a", counts(1), expected=NO_STREAM, ids=once))
            until_waiting(another())

        assert rival.result(5) == first
        assert Event.objects.count() == 1

    def test_any_writers_in_parallel_leave_no_hole_and_lose_nothing(self):
        writers = [in_thread(many, "counter-a", writer, ANY) for writer in range(8)]
        for writer in writers:
            writer.result(30)

        versions = [message.version for message in log.read_stream("counter-a")]
        assert versions == list(range(1, 401))
        for writer in range(8):
            own = [
                message.body.amount
                for message in log.read_stream("counter-a")
                if message.body.note == str(writer)
            ]
            assert own == list(range(50))

    def test_any_writers_against_exact_ones_leave_no_hole(self):
        append("counter-a", counts(0), expected=NO_STREAM)
        stop = threading.Event()
        exact = [in_thread(persist, "counter-a", stop) for _ in range(2)]
        open_ = [in_thread(many, "counter-a", writer, ANY) for writer in range(3)]
        for writer in open_:
            writer.result(30)
        stop.set()
        won = sum(writer.result(5) for writer in exact)

        assert won > 0
        assert [message.version for message in log.read_stream("counter-a")] == list(
            range(1, 152 + won)
        )

    def test_any_writers_of_several_streams_do_not_wait_for_one_another_in_a_ring(self):
        def write(streams):
            for _ in range(30):
                append_all({f"counter-{name}": (ANY, counts(1, of=name)) for name in streams})

        for writer in [in_thread(write, streams) for streams in ("abc", "cba", "bca", "cab")]:
            writer.result(20)
        assert {stream: len(stored(f"counter-{stream}")) for stream in "abc"} == {
            "a": 120,
            "b": 120,
            "c": 120,
        }

    def test_any_writers_of_other_streams_do_not_wait(self, another):
        with transaction.atomic():
            append("counter-a", counts(1), expected=ANY)
            assert in_thread(lambda: append("counter-b", counts(1, of="b"), expected=ANY)).result(5)


class TestOneRoundTrip:
    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_any_number_of_events_streams_and_owed_messages_is_one_statement(self, expected):
        metadata = log.current_metadata()
        events = [
            event
            for number in range(20)
            for event in log.new_events(
                f"counter-{number}",
                counts(*range(10), of=str(number)),
                expected=expected,
                metadata=metadata,
            )
        ]
        outgoing = [log.outgoing(Count(str(number)), metadata=metadata) for number in range(50)]

        with CaptureQueriesContext(connection) as queries:
            log.write(events, outgoing)

        assert len(queries) == 1
        assert Event.objects.count() == 200
        assert OutboxMessage.objects.count() == 250

    @pytest.mark.parametrize("before", [0, 2])
    def test_one_event_alone_is_one_statement_and_lists_nothing(self, before):
        if before:
            append("counter-a", counts(*range(before)), expected=NO_STREAM)

        with CaptureQueriesContext(connection) as queries:
            appended = append("counter-a", counts(9), expected=before)

        assert [query["sql"].partition("(")[0] for query in queries] == [
            "SELECT eventstore_append_one"
        ]
        assert appended.versions == {"counter-a": before + 1}
        assert OutboxMessage.objects.filter(
            position=appended.position, type="toy.counted", key="counter-a"
        ).exists()

    def test_what_the_short_way_cannot_write_leaves_no_trace_of_it(self):
        append("counter-a", counts(1), expected=NO_STREAM)

        with CaptureQueriesContext(connection) as queries, pytest.raises(WrongExpectedVersion):
            append("counter-a", counts(9), expected=0)

        assert len(queries) == 2
        assert (Event.objects.count(), OutboxMessage.objects.count()) == (1, 1)

    @pytest.mark.parametrize("seen", [0, 1, 3])
    def test_a_premise_that_is_too_old_or_was_lost_is_a_conflict_and_nothing_is_written(self, seen):
        append("counter-b", counts(1, 2, of="b"), expected=NO_STREAM)
        events = log.new_events(
            "counter-a", counts(1), expected=NO_STREAM, metadata=log.current_metadata()
        )
        outgoing = [log.outgoing(Count("c"), metadata=log.current_metadata())]

        with pytest.raises(WrongExpectedVersion) as conflict:
            log.write(
                events,
                outgoing,
                log.AppendCondition(epochs.mark(), {"counter-b": seen, "counter-c": 0}),
            )

        assert (conflict.value.stream, conflict.value.expected, conflict.value.actual) == (
            "counter-b",
            seen,
            2,
        )
        assert stored("counter-a") == []
        assert not OutboxMessage.objects.filter(topic="toy").exists()
        assert log.write(
            events, outgoing, log.AppendCondition(epochs.mark(), {"counter-b": 2, "counter-c": 0})
        ).versions == {"counter-a": 1}

    def test_writing_nothing_asks_nothing(self):
        with CaptureQueriesContext(connection) as queries:
            log.write([], [])
        assert len(queries) == 0

    def test_event_and_outbox_row_share_position_and_fate(self):
        append("counter-a", counts(1, 2), expected=NO_STREAM)
        with transaction.atomic():
            append("counter-b", counts(1, of="b"), expected=NO_STREAM)
            transaction.set_rollback(True)

        events = set(Event.objects.values_list("position", "stream", "type"))
        assert events == set(
            OutboxMessage.objects.filter(topic="event").values_list("position", "key", "type")
        )
        assert len(events) == 2

    def test_owed_messages_are_numbered_after_the_events_in_the_order_given(self):
        metadata = log.current_metadata()
        log.write(
            log.new_events("counter-a", counts(1, 2), expected=0, metadata=metadata),
            [log.outgoing(Count(name), metadata=metadata) for name in "xyz"],
        )
        keys = OutboxMessage.objects.order_by("position").values_list("key", flat=True)
        assert list(keys) == ["counter-a", "counter-a", "counter-x", "counter-y", "counter-z"]


class TestTheEnvelope:
    @pytest.mark.parametrize("together", [1, 2])
    def test_a_payload_stays_as_it_was_written(self, together, another):
        event = Counted("ß/\\ \U0001f600 1e2", 2)
        append("counter-a", [event] * together, expected=NO_STREAM)

        kept = another().execute("SELECT data::text FROM eventstore_event").fetchall()
        assert kept == [(codec.encode_json(event).decode(),)] * together

    def test_every_event_has_its_own_id_time_and_origin(self):
        correlation_id, causation_id = ids(2)
        metadata = Metadata(
            correlation_id, causation_id, actor="ada", trace="00-1", command="toy.count"
        )
        append("counter-a", counts(1, 2), expected=NO_STREAM, metadata=metadata)

        first, second = log.read_stream("counter-a")
        assert isinstance(first.id, UUID)
        assert first.id != second.id
        assert first.recorded_at <= second.recorded_at
        assert first.type == "toy.counted"
        assert first.metadata == metadata

    def test_the_time_is_that_of_writing_not_of_the_transactions_beginning(self):
        with transaction.atomic():
            append("counter-a", counts(1), expected=NO_STREAM)
            time.sleep(0.02)
            append("counter-a", counts(2), expected=1)
        first, second = log.read_stream("counter-a")
        assert (second.recorded_at - first.recorded_at).total_seconds() >= 0.02


def many(stream, writer, expected):
    for number in range(50):
        append(stream, [Counted("a", number, str(writer))], expected=expected)


def persist(stream, stop):
    """An exact writer that reads where the stream stands and tries its luck; how often it won."""
    won = 0
    while not stop.is_set():
        version = next(log.read_backwards(stream)).version
        try:
            append(stream, counts(7), expected=version)
            won += 1
        except WrongExpectedVersion:
            pass
    return won


# As after two thousand million appends: the newest event of the stream has nearly the last version
# that there is.
LONG = """
    INSERT INTO eventstore_event (
        position, id, stream, version, type, schema_version, data, correlation_id, causation_id,
            metadata
    )
    SELECT nextval('eventstore_position'), gen_random_uuid(), stream, %s, type, schema_version,
           data, correlation_id, causation_id, metadata
    FROM eventstore_event
"""


def test_the_guide_names_every_exception_of_the_store():
    modules = (aggregate, codec, messages, registry, log)
    raised = {
        f"{module.__name__.removeprefix('eventstore.')}.{name}"
        for module in modules
        for name, each in vars(module).items()
        if isinstance(each, type)
        and issubclass(each, Exception)
        and each.__module__.startswith(module.__name__)
    }
    guide = (Path(__file__).parents[3] / "docs/guide/extend.md").read_text()
    assert {name for name in raised if f"| `{name}` |" not in guide} == set()
