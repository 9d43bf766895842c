"""A line has the class of the first rule that matches."""

from pathlib import Path

import pytest

from retail_import.retail.classes import LineClass, is_goods
from retail_import.retail.documents import Order, StockAdjustment

from . import given


@pytest.mark.parametrize(
    "code", ["10001", "10001A", "10001a", "10001AB", "DCGS0001", "DCGSSBOY", "PADS", "pads"]
)
def test_goods(code: str) -> None:
    assert is_goods(code)


@pytest.mark.parametrize(
    "code", ["POST", "M", "m", "D", "gift_0001_20", "1001", "100011", "10001ABC", "X10001"]
)
def test_what_is_not_goods(code: str) -> None:
    assert not is_goods(code)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (given.line("A700001", "B", 1, price="-11062.06", customer=""), "LEDGER_ADJUSTMENT"),
        (given.line("A700001", "10001", 1, price="0", customer=""), "LEDGER_ADJUSTMENT"),
        (given.line("C700001", "10001", -1), "CREDIT_GOODS"),
        (given.line("C700001", "POST", -1), "CREDIT_CHARGE"),
        (given.line(quantity=-1, price="0", customer=""), "STOCK_OUT"),
        (given.line(quantity=-1, price="0", customer="20001"), "STOCK_OUT"),
        (given.line(price="0", customer=""), "STOCK_IN"),
        (given.line(code="POST", price="0", customer=""), "STOCK_IN"),
        (given.line(price="0"), "FREE_LINE"),
        (given.line(code="M", price="0"), "FREE_LINE"),
        (given.line(), "SALE_GOODS"),
        (given.line(price="0.001", customer=""), "SALE_GOODS"),
        (given.line(code="POST"), "SALE_CHARGE"),
    ],
)
def test_a_line_alone_on_its_invoice(tmp_path: Path, line: str, kind: str) -> None:
    (document,) = given.documents_of(tmp_path, line)
    assert document.kinds == (LineClass(kind),)


def test_a_guests_free_line_beside_a_priced_one_is_no_stock(tmp_path: Path) -> None:
    free, priced = given.line(price="0", customer=""), given.line(price="1", customer="")
    (order,) = given.documents_of(tmp_path, free, priced)
    assert isinstance(order, Order)
    assert order.kinds == (LineClass.FREE_LINE, LineClass.SALE_GOODS)


def test_an_invoice_of_free_lines_only_without_a_customer_is_stock(tmp_path: Path) -> None:
    (document,) = given.documents_of(tmp_path, *[given.line(price="0", customer="")] * 2)
    assert isinstance(document, StockAdjustment)
    assert document.kinds == (LineClass.STOCK_IN, LineClass.STOCK_IN)
