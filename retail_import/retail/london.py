"""Convert the shop's local time (London) to UTC, and to local days and months."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from reprlib import repr as short  # the file may hold anything
from zoneinfo import ZoneInfo

from .malformed import BadValue

LONDON = ZoneInfo("Europe/London")


@lru_cache(8192)
def parse(text: str) -> datetime:
    """In UTC. A time in the repeated hour of October is in the first of the two. Raises
    BadValue."""
    match = _TIME.fullmatch(text)
    try:
        month, day, year, hour, minute = map(int, match.groups() if match else ())
        local = datetime(year, month, day, hour, minute, tzinfo=LONDON)
    except ValueError:
        raise BadValue(f"{short(text)} is not a time of the form M/D/YYYY H:MM") from None
    at = local.astimezone(UTC)
    if at.astimezone(LONDON).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise BadValue(f"{short(text)} is in an hour that London skipped in spring")
    return at


@lru_cache(8192)
def day(at: datetime) -> date:
    return at.astimezone(LONDON).date()


@lru_cache(8192)
def month(at: datetime) -> str:
    return f"{day(at):%Y-%m}"


_TIME = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{2})")
