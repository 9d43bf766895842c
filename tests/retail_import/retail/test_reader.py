"""Every line is read exactly, or an error names it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from retail_import.retail import reader
from retail_import.retail.london import AmbiguousDates, DateForm
from retail_import.retail.malformed import MalformedLine

from . import given

GOOD = given.line()


def test_a_line_is_read_as_values(tmp_path: Path) -> None:
    text = '700001,10001a,"MUG, ""£5"" ",-3,7/1/2011 8:26,0.125,,United Kingdom'
    (line,) = reader.read(given.file(tmp_path, text.replace("-3", "3")))
    assert (line.number, line.invoice, line.position, line.code, line.sku) == (
        2,
        "700001",
        1,
        "10001a",
        "10001A",
    )
    assert (line.description, line.quantity, line.price, line.value) == ('MUG, "£5" ', 3, 125, 375)
    assert line.at == datetime(2011, 7, 1, 7, 26, tzinfo=UTC)
    assert (line.customer, line.country) == (None, "United Kingdom")


def test_exact_duplicates_are_kept_apart_by_position(tmp_path: Path) -> None:
    first, second = reader.read(given.file(tmp_path, GOOD, GOOD))
    assert (first.position, second.position) == (1, 2)
    assert (first.number, second.number) == (2, 3)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("", "expected 8 columns, got 0"),
        ("700001,10001A", "expected 8 columns, got 2"),
        (GOOD + ",more", "expected 8 columns, got 9"),
        (given.line(price="2.5555"), "not a price"),
        (given.line(price=""), "not a price"),
        (given.line(price="-1"), "negative price"),
        (given.line("C700001", price="-1", quantity=-1), "negative price"),
        (given.line(quantity="1.5"), "not a whole number"),
        (given.line(quantity=0), "the quantity is 0"),
        (given.line(quantity=-1), "only a credit note may have"),
        (given.line("C700001"), "must be negative"),
        (given.line(at="2010-12-01 8:26"), "not a time"),
        (given.line(at="3/27/2011 1:30"), "skipped"),
        (given.line(at="11/30/2010 8:26"), "must be in time order"),
        (given.line(code="10001A "), "'10001A ' has blanks around it"),
        (given.line("X700001"), "not an invoice number"),
        (given.line(""), "not an invoice number"),
        (given.line(customer="17850.0"), "not a customer number"),
        (given.line(code=""), "empty"),
        (given.line(code=" 10001A"), "blanks around"),
        (given.line(country=""), "empty"),
        (given.line(customer="20002"), "another customer here than on line 2"),
        (given.line(customer=""), "another customer here than on line 2"),
        (given.line(country="Spain"), "another country here than on line 2"),
        (given.line(description='"unclosed'), "unexpected end of data"),
        (given.line(description="\0"), "zero byte"),
    ],
)
def test_a_malformed_line_is_named(tmp_path: Path, bad: str, reason: str) -> None:
    path = given.file(tmp_path, GOOD, bad, given.line("700002", at="12/30/2011 8:26"))
    with pytest.raises(MalformedLine, match=reason) as caught:
        given.check(path)
    assert caught.value.line_number == 3
    assert str(caught.value) == f"Line 3: {caught.value.reason}."


def test_a_line_after_a_description_of_two_lines_keeps_its_number(tmp_path: Path) -> None:
    path = given.file(tmp_path, given.line(description='"RED\nKETTLE"'), given.line(price="x"))
    with pytest.raises(MalformedLine, match="Line 4: "):
        given.check(path)


def test_another_header_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match="Line 1: the header is 'Invoice,StockCode'"):
        given.check(given.file(tmp_path, GOOD, header="Invoice,StockCode"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "Line 1: the file is empty"),
        (given.HEADER.encode(), "Line 2: the file has no line after the header"),
        (
            f"{given.HEADER}\n{GOOD}\n{GOOD}\xe9\n".encode("latin-1"),
            "Line 3: the text is not UTF-8",
        ),
    ],
)
def test_a_file_that_is_no_text_or_holds_nothing(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "retail.csv"
    path.write_bytes(content)
    with pytest.raises(MalformedLine, match=says):
        given.check(path)


def test_blank_lines_at_the_end_are_taken_and_those_between_lines_are_not(tmp_path: Path) -> None:
    path = given.file(tmp_path, GOOD, "", GOOD, "", "")
    reported: list[str] = []
    lines = list(reader.read(path, report=lambda fault: reported.append(str(fault))))
    assert [line.number for line in lines] == [2, 4]
    assert reported == ["Line 3: expected 8 columns, got 0."]


def test_every_malformed_line_is_reported_in_one_run(tmp_path: Path) -> None:
    bad = [
        given.line("700002", price="x"),
        "700003,10001A",
        given.line("700004", description='"un"closed'),
        given.line("700005", description="\0"),
        given.line("700006", quantity=0),
    ]
    reported = []
    lines = list(reader.read(given.file(tmp_path, GOOD, *bad, GOOD), report=reported.append))
    assert [line.number for line in lines] == [2, 8]
    assert [fault.line_number for fault in reported] == [3, 4, 5, 6, 7]
    assert reported[0].invoice == "700002"


def test_the_hour_that_october_repeats_is_in_time_order(tmp_path: Path) -> None:
    times = ["10/31/2010 1:50", *["10/31/2010 1:05"] * 5, "10/31/2010 2:10"]
    lines = list(reader.read(given.file(tmp_path, *(given.line(at=each) for each in times))))
    assert [f"{line.at:%H:%M}" for line in lines] == ["00:50", *["01:05"] * 5, "02:10"]


@pytest.mark.parametrize(
    ("times", "form"),
    [
        (["12/13/2010 8:26"], DateForm.MONTH_FIRST),
        (["13/12/2010 8:26", "1/1/2011 8:26"], DateForm.DAY_FIRST),
        (["1/2/2011 8:26", "2/1/2011 8:26"], DateForm.MONTH_FIRST),
        (["1/2/2011 8:26", "2/1/2012 8:26", "3/1/2012 8:26", "1/2/2012 8:26"], DateForm.DAY_FIRST),
        (["2010-12-01 08:26"], DateForm.ISO),
        (["2010-12-01T08:26:00"], DateForm.ISO),
    ],
)
def test_the_file_shows_the_form_of_its_dates(
    tmp_path: Path, times: list[str], form: DateForm
) -> None:
    path = given.file(tmp_path, *(given.line(at=each) for each in times))
    assert reader.date_form(path) == form
    assert list(reader.read(path, form))


def test_dates_of_either_form_are_not_guessed(tmp_path: Path) -> None:
    path = given.file(tmp_path, *(given.line(at=f"{each}/2011 8:26") for each in ("1/2", "2/3")))
    with pytest.raises(AmbiguousDates, match="no date shows"):
        reader.date_form(path)
