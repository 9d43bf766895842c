"""The movements of stock, and the opening stock that they need."""

from pathlib import Path

import pytest

from retail_import.retail import documents, opening_stock
from retail_import.retail.malformed import MalformedLine
from retail_import.retail.opening_stock import OpeningStock
from retail_import.retail.stock import StockCount, movements

from . import given
from .given import RetailFiles


@pytest.mark.parametrize(
    ("line", "units"),
    [
        (given.line(), [-6]),
        (given.line(price="0"), [-6]),
        (given.line("C700001", quantity=-2), [2]),
        (given.line("C700001", quantity=-2, customer=""), [2]),
        (given.line(quantity=-2, price="0", customer=""), [-2]),
        (given.line(quantity=2, price="0", customer=""), [2]),
        (given.line(code="POST"), []),
        (given.line("C700001", code="POST", quantity=-1), []),
        (given.line(code="POST", quantity=1000, price="0", customer=""), []),
        (given.line("A700001", quantity=1), []),
    ],
)
def test_goods_move_and_nothing_else(tmp_path: Path, line: str, units: list[int]) -> None:
    (document,) = given.documents_of(tmp_path, line)
    assert [movement.units for movement in movements(document)] == units


def test_codes_that_differ_in_case_lie_on_one_shelf(tmp_path: Path) -> None:
    count = StockCount()
    for document in given.documents_of(
        tmp_path, given.line(code="10001a"), given.line(code="10001A")
    ):
        count.add(document)
    assert count.opening() == [OpeningStock("10001A", 12, -12, 0, 2)]


def test_units_that_come_back_in_time_need_not_lie_there_before(tmp_path: Path) -> None:
    count = StockCount()
    back = given.line("C700002", quantity=-6)
    for document in given.documents_of(
        tmp_path, given.line("700001"), back, given.line("700003", quantity=7)
    ):
        count.add(document)
    assert count.opening() == [OpeningStock("10001A", 7, -7, 0, 3)]


def test_the_opening_stock_file_is_what_the_movements_need(files: RetailFiles) -> None:
    count = StockCount()
    for document in documents.read(files.dataset):
        count.add(document)
    assert count.opening() == list(opening_stock.read(files.opening))


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("10002,683,-683,0", "expected 5 columns, got 4"),
        ("10002,683,-683,0,many", "not a whole number"),
        ("10001,5,-5,0,1", "is in the file twice"),
        ("10002a,5,-5,0,1", "upper-cased SKU"),
        ("POST,5,-5,0,1", "SKU of goods"),
        ("10002,-5,5,0,1", "must not be negative"),
        ("10002,5,-6,-1,1", "must not be negative"),
        ("10002,5,-5,0,0", "moves must be at least 1"),
        ("10002,5,-4,0,1", "opening 5 and net -4 do not add up to closing 0"),
    ],
)
def test_a_malformed_line_of_opening_stock_is_named(tmp_path: Path, bad: str, reason: str) -> None:
    path = given.file(tmp_path, "10001,5,-5,0,1", bad, header=",".join(opening_stock.HEADER))
    with pytest.raises(MalformedLine, match=f"Line 3: .*{reason}"):
        list(opening_stock.read(path))


def test_another_header_of_opening_stock_is_named(tmp_path: Path) -> None:
    with pytest.raises(MalformedLine, match="Line 1: the header is"):
        list(opening_stock.read(given.file(tmp_path, "10001,5,-5,0,1")))
