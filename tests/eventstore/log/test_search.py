"""Times are found in a log that has no index by time."""

from datetime import UTC, datetime, timedelta

import pytest

from eventstore.log import ANY, append, search
from eventstore.log.search import EventFilter
from eventstore.models import Event
from eventstore.postgres import rows
from tests.eventstore.toy import Counted

LONG_AGO, FAR_OFF = datetime(1999, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture
def moments(toys):
    """Position and time of each of twenty events; between the tenth and the eleventh lie positions
    of no event."""
    for number in range(20):
        if number == 10:
            rows("SELECT nextval('eventstore_position') FROM generate_series(1, 70)")
        append(f"counter-{number}", [Counted(str(number))], expected=ANY)
    return list(Event.objects.order_by("position").values_list("position", "recorded_at"))


def test_the_first_position_of_a_time_is_found_among_holes(moments):
    positions = [position for position, _ in moments]
    for position, at in moments:
        earlier = [each for each in positions if each < position]
        assert max(earlier, default=0) < search.position_at(at) <= position
        later = [each for each in positions if each > position]
        assert (
            position
            < search.position_at(at + timedelta(microseconds=1))
            <= min(later, default=position + 1)
        )


def test_times_beyond_either_end_are_all_and_none(moments):
    assert search.position_at(LONG_AGO) <= moments[0][0]
    assert search.position_at(FAR_OFF) > moments[-1][0]


@pytest.mark.usefixtures("toys")
def test_an_empty_log_has_no_place_for_any_time():
    assert search.position_at(LONG_AGO) == 0
    assert list(search.events(EventFilter(since=LONG_AGO, until=FAR_OFF))) == []


def test_a_stretch_begins_with_its_first_moment_and_ends_before_its_last(moments):
    found = search.events(EventFilter(since=moments[5][1], until=moments[12][1])).order_by(
        "position"
    )
    assert [each.position for each in found] == [position for position, _ in moments[5:12]]


def test_a_time_is_found_by_a_handful_of_looks_at_the_index(moments, django_assert_num_queries):
    with django_assert_num_queries(1):
        search.position_at(moments[7][1])
    plan = "\n".join(
        line for (line,) in rows(f"EXPLAIN {search.POSITION_AT}", [LONG_AGO, LONG_AGO])
    )
    assert "Index" in plan
    rows("SELECT set_config('enable_seqscan', 'off', false)")
    try:
        plan = "\n".join(
            line for (line,) in rows(f"EXPLAIN {search.POSITION_AT}", [LONG_AGO, LONG_AGO])
        )
    finally:
        rows("SELECT set_config('enable_seqscan', 'on', false)")
    assert "Seq Scan" not in plan


@pytest.mark.parametrize(
    "text", ["yesterday", "", "2026-13-01T00:00", "0001-01-01T00:00:00", "9999-12-31T23:59:59"]
)
def test_what_is_no_time_says_so(text):
    with pytest.raises(search.NotATime, match="expected a time like"):
        search.time(text)
