"""When a delivery is attempted again, and what an answer means."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventstore.webhooks import schedule
from eventstore.webhooks.schedule import HOUR, Answer

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
DAY = 24 * HOUR


def judged(status, *, attempts=1, failures=0, left=DAY, chance=0.0, retry_after=""):
    answer = Answer(status, 0.1, "" if status == 200 else "-", retry_after=retry_after)
    return schedule.judge(
        answer, attempts=attempts, failures=failures, left=left, now=NOW, chance=chance
    )


def attempts_of_a_day(chance, left=DAY):
    """Seconds after the event of each attempt, when all fail."""
    at, attempts = 0.0, 1
    found = [at]
    while not (verdict := judged(500, attempts=attempts, left=left - at, chance=chance)).ends:
        at, attempts = at + verdict.delay, attempts + 1
        found.append(at)
    return found


def test_attempts_are_spread_over_a_day():
    found = attempts_of_a_day(0.0)
    assert found[:4] == [0.0, 5.0, 35.0, 155.0]
    assert found[-1] == DAY
    assert len(found) == 12


@given(chance=st.floats(0, 1))
def test_with_any_jitter_the_last_attempt_is_at_the_end_of_the_day(chance):
    found = attempts_of_a_day(chance)
    assert found == sorted(found)
    assert found[0] == 0.0
    assert DAY - 60 <= found[-1] <= DAY


def test_without_time_left_there_is_one_attempt():
    assert attempts_of_a_day(0.0, left=0.0) == [0.0]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_a_success_ends_a_delivery(status):
    verdict = schedule.judge(
        Answer(status, 0.1), attempts=3, failures=9, left=DAY, now=NOW, chance=0.5
    )
    assert verdict == schedule.Verdict(True, True)


@pytest.mark.parametrize("status", [None, 100, 301, 302, 308, 400, 401, 404, 408, 413, 500, 503])
def test_anything_else_is_a_failure(status):
    verdict = judged(status)
    assert (verdict.is_success, verdict.ends, verdict.is_gone) == (False, False, False)


def test_410_ends_all():
    verdict = judged(410)
    assert (verdict.ends, verdict.is_gone) == (True, True)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("0", 0),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(seconds=90), usegmt=True), 0),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("soon", 0),
        ("٣", 0),
        ("9" * 400, 10**12 - 1),
        ("Mon, 31 Feb 2026 99:00:00 GMT", 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header, seconds):
    assert schedule.retry_after(header, NOW) == seconds


@given(header=st.text(max_size=60))
def test_no_header_is_an_error(header):
    assert schedule.retry_after(header, NOW) >= 0


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_holds_back_the_delivery_and_the_endpoint(status):
    verdict = judged(status, retry_after="600")
    assert (verdict.delay, verdict.rest) == (600, 600)


def test_retry_after_is_bounded():
    verdict = judged(429, retry_after="99999999")
    assert verdict.delay == verdict.rest == schedule.LONGEST_RETRY_AFTER


def test_a_short_retry_after_does_not_shorten_the_schedule():
    assert judged(503, attempts=5, retry_after="1").delay == 1800


def test_retry_after_of_other_statuses_is_not_asked_for():
    assert judged(500, retry_after="600").delay == 5


def test_a_retry_after_beyond_the_day_ends_the_delivery():
    assert judged(429, retry_after="3600", left=1800).ends


def test_an_endpoint_that_fails_again_and_again_rests():
    rests = [judged(500, failures=failures).rest for failures in range(14)]
    assert rests[:4] == [0.0, 0.0, 1.0, 2.0]
    assert rests == sorted(rests)
    assert rests[-1] == schedule.LONGEST_REST
