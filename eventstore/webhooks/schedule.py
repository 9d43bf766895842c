"""The answer to an attempt: when the delivery is attempted again, and what follows for its
endpoint. Pure functions."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import NamedTuple

MINUTE, HOUR = 60.0, 3600.0
# Seconds after the first attempt, the second, and so on; the last one repeats.
DELAYS = (
    5.0,
    30.0,
    2 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    4 * HOUR,
    6 * HOUR,
    10 * HOUR,
)
# Each delay is shortened by up to this share, so that the deliveries of an endpoint that was down
# do not come all at once.
JITTER = 0.2
# A longer Retry-After counts as this.
LONGEST_RETRY_AFTER = 6 * HOUR

# From so many failures in a row on, an endpoint rests after each, and is then called once.
PATIENCE = 3
FIRST_REST, LONGEST_REST = 1.0, 5 * MINUTE
# An endpoint is not disabled for time alone: at least so many attempts in a row must have failed.
LEAST_FAILURES = 5

GONE = 410
BUSY = (429, 503)


class Answer(NamedTuple):
    """status: None if there was no response; then error says why. response: the beginning of its
    body. retry_after: the header of this name."""

    status: int | None
    seconds: float
    error: str = ""
    response: str = ""
    retry_after: str = ""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Verdict(NamedTuple):
    """What follows from an answer.

    ends: the delivery is not attempted again. delay: seconds until its next attempt. rest: seconds
    for which nothing is sent to the endpoint. is_gone: the endpoint is disabled at once.
    """

    is_success: bool
    ends: bool
    delay: float = 0.0
    rest: float = 0.0
    is_gone: bool = False


def judge(
    answer: Answer, *, attempts: int, failures: int, left: float, now: datetime, chance: float
) -> Verdict:
    """attempts: of the delivery, this one included. failures: of the endpoint in a row, before this
    one. left: seconds until the delivery is given up. chance: a random number from 0 to 1."""
    if answer.is_success:
        return Verdict(True, True)
    if answer.status == GONE:
        return Verdict(False, True, is_gone=True)
    asked = retry_after(answer.retry_after, now) if answer.status in BUSY else 0.0
    demanded = min(asked, LONGEST_RETRY_AFTER)
    rest = max(demanded, rest_after(failures + 1, chance))
    # The last attempt is at the end of the time, if not sooner.
    delay = min(max(backoff(attempts, chance), demanded), left)
    ends = left < MINUTE or demanded > left
    return Verdict(False, ends, 0.0 if ends else delay, rest)


def backoff(attempts: int, chance: float) -> float:
    """Seconds until the next attempt, after so many."""
    return DELAYS[min(attempts, len(DELAYS)) - 1] * (1 - JITTER * chance)


def rest_after(failures: int, chance: float) -> float:
    """Seconds for which an endpoint rests after so many failures in a row."""
    if failures < PATIENCE:
        return 0.0
    doubled = FIRST_REST * 2.0 ** min(failures - PATIENCE, 30)
    return min(doubled, LONGEST_REST) * (1 - JITTER * chance)


def retry_after(header: str, now: datetime) -> float:
    """Seconds, from a number or a date (RFC 9110 §10.2.3); 0 for anything else."""
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError):
        return 0.0
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    seconds = (at - now).total_seconds()
    return seconds if seconds > 0 and math.isfinite(seconds) else 0.0
