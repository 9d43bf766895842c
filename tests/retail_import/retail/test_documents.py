"""Lines become documents, in file order."""

from pathlib import Path

import pytest

from retail_import.retail import documents
from retail_import.retail.documents import (
    CreditNote,
    LedgerAdjustment,
    Order,
    StockAdjustment,
)
from retail_import.retail.malformed import MalformedLine

from . import given


def test_an_order_has_goods_free_lines_and_charges(tmp_path: Path) -> None:
    lines = [given.line(), given.line(code="POST", price="18"), given.line(price="0", quantity=1)]
    (order,) = given.documents_of(tmp_path, *lines, given.line(code="M", price="0"))
    assert isinstance(order, Order)
    assert [line.position for line in order.goods] == [1, 3]
    assert [line.position for line in order.charges] == [2, 4]
    assert order.value == 6 * 2550 + 6 * 18000
    assert (order.invoice, order.customer, order.country) == ("700001", "20001", "France")


def test_the_first_line_gives_an_orders_time(tmp_path: Path) -> None:
    (order,) = given.documents_of(tmp_path, given.line(), given.line(at="12/1/2010 8:27"))
    assert order.at == order.lines[0].at < order.lines[1].at


def test_documents_come_in_file_order(tmp_path: Path) -> None:
    found = given.documents_of(
        tmp_path,
        given.line("700001"),
        given.line("C700002", quantity=-1),
        given.line("700003", quantity=-1, price="0", customer=""),
        given.line("A700004", code="B", quantity=1, customer=""),
        given.line("700005", price="0", customer=""),
    )
    assert [document.invoice for document in found] == [
        "700001",
        "C700002",
        "700003",
        "A700004",
        "700005",
    ]
    kinds = [CreditNote, StockAdjustment, LedgerAdjustment, StockAdjustment]
    assert [type(document) for document in found] == [Order, *kinds]


@pytest.mark.parametrize("again", ["12/1/2010 9:20", "12/1/2010 9:24"])
def test_an_interrupted_invoice_is_one_order_at_its_first_line(tmp_path: Path, again: str) -> None:
    order, note = given.documents_of(
        tmp_path,
        given.line("700001", at="12/1/2010 9:19"),
        given.line("C700002", at="12/1/2010 9:19", quantity=-1),
        given.line("700001", at=again),
    )
    assert [line.number for line in order.lines] == [2, 4]
    assert [line.position for line in order.lines] == [1, 2]
    assert note.invoice == "C700002"


def test_an_invoice_that_comes_again_much_later_is_named(tmp_path: Path) -> None:
    lines = [given.line("700001"), given.line("700002"), given.line("700001", at="12/1/2010 8:32")]
    with pytest.raises(MalformedLine, match=r"Line 4: invoice 700001 continues, but ended"):
        given.documents_of(tmp_path, *lines)


def test_an_invoice_in_one_piece_may_take_its_time(tmp_path: Path) -> None:
    (order,) = given.documents_of(tmp_path, given.line(), given.line(at="12/1/2010 19:00"))
    assert len(order.lines) == 2


def test_stock_that_leaves_on_a_sales_invoice_is_a_document_of_its_own(tmp_path: Path) -> None:
    order, adjustment = given.documents_of(
        tmp_path, given.line(), given.line(quantity=-1, price="0")
    )
    assert isinstance(order, Order)
    assert isinstance(adjustment, StockAdjustment)
    assert [line.position for line in adjustment.lines] == [2]


def test_documents_stream(tmp_path: Path) -> None:
    path = given.file(
        tmp_path, given.line("700001"), given.line("700002", at="12/1/2010 9:00"), "bad"
    )
    found = documents.read(path)
    assert next(found).invoice == "700001"
    with pytest.raises(MalformedLine, match="Line 4"):
        next(found)
