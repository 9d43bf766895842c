"""Every line is read exactly, or an error names it."""

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from retail_import.retail import documents, reader
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


def test_a_gzipped_file_is_read_alike(tmp_path: Path) -> None:
    plain = given.file(tmp_path, GOOD)
    packed = tmp_path / "retail.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert list(reader.read(packed)) == list(reader.read(plain))


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
        documents.check(path)
    assert caught.value.line_number == 3
    assert str(caught.value) == f"Line 3: {caught.value.reason}."


def test_a_line_after_a_description_of_two_lines_keeps_its_number(tmp_path: Path) -> None:
    path = given.file(tmp_path, given.line(description='"RED\nKETTLE"'), given.line(price="x"))
    with pytest.raises(MalformedLine, match="Line 4: "):
        documents.check(path)


def test_another_header_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match="Line 1: the header is 'Invoice,StockCode'"):
        documents.check(given.file(tmp_path, GOOD, header="Invoice,StockCode"))


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
        documents.check(path)


def test_a_file_that_is_not_gzip(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match="Line 1: the file is not gzip"):
        documents.check(given.file(tmp_path, GOOD).rename(tmp_path / "retail.csv.gz"))


@pytest.mark.parametrize(("end", "says"), [(-9, "truncated"), (-4, "truncated")])
def test_a_compressed_file_that_breaks_off(tmp_path: Path, end: int, says: str) -> None:
    packed = gzip.compress(given.file(tmp_path, *[GOOD] * 50).read_bytes())
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(packed[:end])
    with pytest.raises(MalformedLine, match=says):
        documents.check(path)


def test_a_compressed_file_that_is_damaged(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(given.file(tmp_path, *[GOOD] * 50).read_bytes()))
    packed[-8] ^= 1  # its checksum
    path = tmp_path / "retail.csv.gz"
    path.write_bytes(packed)
    with pytest.raises(MalformedLine, match="damaged"):
        documents.check(path)
