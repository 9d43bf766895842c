"""Convert the shop's local time (London) to UTC, and to local days and months."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from reprlib import repr as short  # the file may hold anything
from zoneinfo import ZoneInfo

from .malformed import BadValue

LONDON = ZoneInfo("Europe/London")


class DateForm(StrEnum):
    """How a file writes its times."""

    MONTH_FIRST = "M/D/Y"
    DAY_FIRST = "D/M/Y"
    ISO = "Y-M-D"


class AmbiguousDates(ValueError):
    """The dates of the file fit more than one form."""


@lru_cache(8192)
def parse(text: str, form: DateForm = DateForm.MONTH_FIRST, *, second: bool = False) -> datetime:
    """In UTC. second: of the two hours that a clock shows in October, the second one. Raises
    BadValue."""
    try:
        local = datetime(*_numbers(text, form), tzinfo=LONDON, fold=second)
    except ValueError:
        raise BadValue(f"{short(text)} is not a time of the form {_WRITTEN[form]}") from None
    at = local.astimezone(UTC)
    if at.astimezone(LONDON).replace(tzinfo=None) != local.replace(tzinfo=None):
        raise BadValue(f"{short(text)} is in an hour that London skipped in spring")
    return at


def parse_after(text: str, latest: datetime, form: DateForm) -> datetime:
    """As parse, for a line after `latest`: in the repeated hour of October that is the first of the
    two hours that is not before it."""
    at = parse(text, form)
    if at < latest:
        at = parse(text, form, second=True)
    return at


def detect(texts: Iterable[str]) -> DateForm:
    """The form of a file's times, in file order. Raises AmbiguousDates.

    A number above 12 is a day. Without one, the form in which the lines are in time order; a file
    in which they are in both may be of either.
    """
    days = {DateForm.MONTH_FIRST: 0, DateForm.DAY_FIRST: 0}
    in_order = dict.fromkeys(days, True)
    latest: dict[DateForm, datetime] = {}
    for text in texts:
        match = _SLASHED.fullmatch(text)
        if not match:
            if _ISO.fullmatch(text):
                return DateForm.ISO
            continue
        days[DateForm.DAY_FIRST] += int(match[1]) > 12
        days[DateForm.MONTH_FIRST] += int(match[2]) > 12
        for form in days:
            try:
                at = datetime(*_numbers(text, form))
            except ValueError:
                continue
            before = latest.get(form, at)
            in_order[form] &= at >= before - timedelta(hours=1)
            latest[form] = max(at, before)
    if days[DateForm.MONTH_FIRST] != days[DateForm.DAY_FIRST]:
        return max(days, key=days.__getitem__)
    fitting = [form for form in days if in_order[form] and latest]
    if len(fitting) != 1:
        raise AmbiguousDates("no date shows whether the month or the day comes first")
    return fitting[0]


@lru_cache(8192)
def day(at: datetime) -> date:
    return at.astimezone(LONDON).date()


def _numbers(text: str, form: DateForm) -> tuple[int, int, int, int, int]:
    """Year, month, day, hour, minute. Raises ValueError."""
    match = (_ISO if form is DateForm.ISO else _SLASHED).fullmatch(text)
    if not match:
        raise ValueError(text)
    first, second, third, hour, minute = map(int, match.groups()[:5])
    match form:
        case DateForm.MONTH_FIRST:
            return third, first, second, hour, minute
        case DateForm.DAY_FIRST:
            return third, second, first, hour, minute
    return first, second, third, hour, minute


_SLASHED = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4}) ([0-9]{1,2}):([0-9]{2})")
_ISO = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})[ T]([0-9]{2}):([0-9]{2})(?::[0-9]{2})?")
_WRITTEN = {
    DateForm.MONTH_FIRST: "M/D/YYYY H:MM",
    DateForm.DAY_FIRST: "D/M/YYYY H:MM",
    DateForm.ISO: "YYYY-MM-DD HH:MM",
}
