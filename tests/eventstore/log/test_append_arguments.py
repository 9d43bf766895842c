"""What could never be appended is refused at the door, by a sentence; and what is said with no
events is looked at."""

import pytest
from uuid_utils.compat import uuid7

from eventstore import log
from eventstore.codec import Unstorable
from eventstore.log import (
    ANY,
    NO_STREAM,
    STREAM_EXISTS,
    EventIdTaken,
    InvalidAppend,
    InvalidStreamName,
    WrongExpectedVersion,
    append,
    append_all,
)
from eventstore.messages import Metadata
from eventstore.models import Event, OutboxMessage
from tests.eventstore.concurrently import in_thread
from tests.eventstore.toy import Count, Counted

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("toys")]


def counts(*amounts, of="a"):
    return [Counted(of, amount) for amount in amounts]


@pytest.fixture(autouse=True)
def nothing_is_written(toys):
    append("counter-z", counts(1, of="z"), expected=NO_STREAM)
    yield
    assert (Event.objects.count(), OutboxMessage.objects.count()) == (1, 1)


class TestArguments:
    @pytest.mark.parametrize("expected", [-3, -(2**40), 1.5, 0.0, True, False, None, "1", [0]])
    @pytest.mark.parametrize("events", [counts(1), counts(1, 2), []], ids=["one", "two", "none"])
    def test_an_expectation_that_is_none(self, expected, events):
        with pytest.raises(InvalidAppend, match="Invalid expected version"):
            append("counter-a", events, expected=expected)
        with pytest.raises(InvalidAppend, match="Invalid expected version"):
            append_all({"counter-a": (expected, events)})

    @pytest.mark.parametrize("count", [0, 1, 3])
    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_too_few_ids_and_too_many(self, count, expected):
        ids = [uuid7() for _ in range(count)]
        with pytest.raises(InvalidAppend, match=f"{count} ids for 2 events"):
            append("counter-a", counts(1, 2), expected=expected, ids=ids)
        with pytest.raises(InvalidAppend, match=f"{count} ids for 2 events"):
            append_all(
                {"counter-a": (expected, counts(1)), "counter-b": (expected, counts(1, of="b"))},
                ids=ids,
            )

    @pytest.mark.parametrize("id_", [None, "0190a000-0000-7000-8000-000000000000", 5])
    def test_what_is_no_id(self, id_):
        with pytest.raises(InvalidAppend, match="Invalid event id"):
            append("counter-a", counts(1), expected=NO_STREAM, ids=[id_])

    def test_the_same_id_twice(self):
        ids = [uuid7()] * 2
        with pytest.raises(EventIdTaken, match="Two events of one append"):
            append_all(
                {"counter-a": (ANY, counts(1)), "counter-b": (0, counts(1, of="b"))}, ids=ids
            )

    @pytest.mark.parametrize(
        "events", [[Count("a")], [None], ["text"], [Counted], [*counts(1), {"amount": 1}]]
    )
    def test_what_is_no_event(self, events):
        with pytest.raises(InvalidAppend, match="not an event"):
            append("counter-a", events, expected=NO_STREAM)

    @pytest.mark.parametrize("events", [None, Counted("a"), iter(counts(1)), 5])
    def test_what_is_no_sequence_of_events(self, events):
        with pytest.raises(InvalidAppend, match="not a sequence of events"):
            append("counter-a", events, expected=NO_STREAM)

    @pytest.mark.parametrize("given", [5, (1,), (1, [], 2), None])
    def test_what_is_no_pair_of_expectation_and_events(self, given):
        with pytest.raises(InvalidAppend, match="expected version, events"):
            append_all({"counter-a": given})

    @pytest.mark.parametrize("stream", [None, 5, b"counter-a"])
    def test_what_is_no_name(self, stream):
        with pytest.raises(InvalidStreamName):
            append(stream, counts(1), expected=NO_STREAM)

    def test_what_is_no_metadata(self):
        with pytest.raises(InvalidAppend, match="metadata"):
            append("counter-a", counts(1), expected=NO_STREAM, metadata={"actor": "ada"})

    @pytest.mark.parametrize("actor", ["a\0", "\ud800"], ids=["NUL", "a lone surrogate"])
    @pytest.mark.parametrize("events", [counts(1), counts(1, 2)], ids=["one", "two"])
    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_metadata_that_cannot_be_stored(self, actor, events, expected):
        with pytest.raises(Unstorable, match="Metadata has a"):
            append("counter-a", events, expected=expected, metadata=Metadata(uuid7(), actor=actor))

    @pytest.mark.parametrize(
        ("key", "actor"), [("a\0", ""), ("\ud800", ""), ("a", "a\0")], ids=["NUL", "half", "actor"]
    )
    def test_an_outgoing_message_that_cannot_be_stored(self, key, actor):
        metadata = Metadata(uuid7(), actor=actor)
        message = log.saga_message("sums", key, Counted("a"), metadata=metadata)
        with pytest.raises(Unstorable, match="An append has a"):
            log.write(envelopes(0), [message])


class TestEnvelopes:
    """Who makes them by hand, and writes them together."""

    @pytest.mark.parametrize(
        "versions", [(0, 0), (0, 2), (1, 0)], ids=["twice", "with a gap", "backwards"]
    )
    @pytest.mark.parametrize("once", [False, True])
    def test_versions_of_a_stream_that_do_not_follow_one_another(self, versions, once):
        events = [event for version in versions for event in envelopes(version)]
        with pytest.raises(InvalidAppend, match="Version . of counter-a follows version"):
            log.write_once("{}", events) if once else log.write(events)

    def test_a_first_one_whose_predecessor_nobody_has(self):
        """Which only the log can tell."""
        (event,) = envelopes(4, continues=True)
        with pytest.raises(
            InvalidAppend, match="version 5 of counter-a does not follow|Version 5 of counter-a"
        ):
            log.write([event])


def envelopes(expected, **options):
    return log.new_events(
        "counter-a", counts(1), expected=expected, metadata=log.current_metadata(), **options
    )


class TestNoEvents:
    @pytest.mark.parametrize(
        ("stream", "expected"), [("counter-z", 1), ("counter-z", STREAM_EXISTS), ("counter-a", 0)]
    )
    def test_an_expectation_that_holds(self, stream, expected):
        assert append(stream, [], expected=expected).position == 0
        assert append_all({stream: (expected, ())}).positions == ()

    @pytest.mark.parametrize(
        ("stream", "expected", "actual"),
        [
            ("counter-z", 0, 1),
            ("counter-z", 2, 1),
            ("counter-a", 1, 0),
            ("counter-a", STREAM_EXISTS, 0),
        ],
    )
    @pytest.mark.parametrize(
        "other", [None, NO_STREAM, ANY], ids=["alone", "beside exact", "beside any"]
    )
    def test_one_that_does_not(self, stream, expected, actual, other):
        rest = {} if other is None else {"counter-b": (other, counts(1, of="b"))}
        with pytest.raises(WrongExpectedVersion) as refused:
            append_all({stream: (expected, []), **rest})
        assert (refused.value.stream, refused.value.expected, refused.value.actual) == (
            stream,
            expected,
            actual,
        )

    def test_nothing_at_all_is_nothing(self):
        assert append("counter-a", [], expected=ANY) == append_all({})


class TestOppositeOrders:
    @pytest.fixture(autouse=True)
    def nothing_is_written(self):
        """Here, something is."""

    @pytest.mark.parametrize("expected", [NO_STREAM, ANY])
    def test_two_appends_over_the_same_streams_never_wait_in_a_ring(self, expected):
        """One of the two is first; a deadlock would be neither."""

        def write(streams, number):
            try:
                append_all(
                    {f"counter-{name}{number}": (expected, counts(1, of=name)) for name in streams}
                )
            except WrongExpectedVersion:
                return 0
            return 1

        for number in range(60):
            rivals = [
                in_thread(write, streams, number) for streams in ("abcdef", "fedcba", "cafebd")
            ]
            won = [rival.result(10) for rival in rivals]
            assert sum(won) == (3 if expected == ANY else 1)

    def test_positions_follow_the_order_that_was_given(self):
        appended = append_all(
            {"counter-b": (ANY, counts(1, 2, of="b")), "counter-a": (0, counts(3))}
        )
        assert [message.stream for message in log.read_log()] == [
            "counter-b",
            "counter-b",
            "counter-a",
        ]
        assert list(appended.positions) == [message.position for message in log.read_log()]
