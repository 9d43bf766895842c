"""Money and times are read exactly, to the digit and the minute."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail_import.retail import london, values
from retail_import.retail.malformed import BadValue


@given(st.integers(-9_999_999_999, 9_999_999_999), st.booleans())
def test_a_price_is_read_to_the_thousandth(thousandths: int, short: bool) -> None:
    pounds, rest = divmod(abs(thousandths), 1000)
    text = f"{'-' if thousandths < 0 else ''}{pounds}.{rest:03}"
    assert values.thousandths(text.rstrip("0").rstrip(".") if short else text) == thousandths


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "1.2345", "1e3", "NaN", "+1", " 1", "1,5", "--1", "\u0661", "1" * 8]
)
def test_what_is_not_a_price_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is not a price"):
        values.thousandths(text)


@given(st.integers(-9_999_999, 9_999_999))
def test_a_whole_number_is_read(number: int) -> None:
    assert values.whole(str(number)) == number


@pytest.mark.parametrize("text", ["", "1.0", "1.5", "six", "+6", "6 ", "1_000", "\u0666", "1" * 8])
def test_what_is_not_a_whole_number_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is not a whole number"):
        values.whole(text)


MINUTES = st.datetimes(datetime(1970, 1, 1), datetime(2037, 12, 31)).map(
    lambda at: at.replace(second=0, microsecond=0, tzinfo=UTC)
)


@given(MINUTES)
def test_a_time_in_london_is_read_as_that_moment(at: datetime) -> None:
    local = at.astimezone(london.LONDON)
    text = f"{local.month}/{local.day}/{local.year} {local.hour}:{local.minute:02}"
    assert london.parse(text) == at - timedelta(hours=local.fold)
    assert london.parse(text).tzinfo is UTC


def test_summer_is_an_hour_ahead() -> None:
    assert london.parse("6/1/2011 0:10") == datetime(2011, 5, 31, 23, 10, tzinfo=UTC)
    assert london.parse("12/1/2010 8:26") == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def test_the_shops_day_is_londons() -> None:
    assert london.day(london.parse("6/1/2011 0:10")).day == 1


def test_an_hour_that_the_clocks_skip_is_refused() -> None:
    with pytest.raises(BadValue, match="skipped"):
        london.parse("3/27/2011 1:30")


@pytest.mark.parametrize(
    "text", ["", "13/1/2011 8:26", "2/29/2011 8:26", "2011-12-01 08:26", "12/1/2010 24:00"]
)
def test_what_is_not_a_time_is_refused(text: str) -> None:
    with pytest.raises(BadValue, match="is not a time"):
        london.parse(text)
