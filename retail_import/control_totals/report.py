"""Compare the file, the outcome of its import and the expected totals, row by row."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from rich.table import Table

from . import comparison, outcome
from .file_totals import FileTotals
from .outcome import Outcome


class Row(NamedTuple):
    """came_out: None for a number that is only counted. expected: None without expected totals."""

    label: str
    in_file: int
    came_out: int | None
    expected: int | None = None
    is_money: bool = False

    @property
    def verdict(self) -> str:
        if self.came_out not in (None, self.in_file) or self.expected not in (None, self.in_file):
            return "DIFFERS"
        return "counted" if self.came_out is None else "ok"

    @property
    def numbers(self) -> list[str]:
        places = -3 if self.is_money else 0
        given = (self.in_file, self.came_out, self.expected)
        return ["" if each is None else f"{Decimal(each).scaleb(places):,}" for each in given]


class Report:
    def __init__(
        self,
        file: FileTotals,
        found: Outcome,
        opening: Mapping[str, int],
        expected: Mapping[str, Any],
    ):
        """opening: units by SKU that were received as the file's opening stock."""
        self.file, self.found, self.opening, self.expected = file, found, opening, expected
        self.totals = file.totals()
        self.rows = [*self._documents(), *self._stock(), *self._other_totals()]

    @property
    def differs(self) -> bool:
        return any(row.verdict == "DIFFERS" for row in self.rows)

    def table(self) -> Table:
        table = Table(title="What went in, and what came out", title_justify="left")
        table.add_column("")
        for name in ("in the file", "came out", "expected"):
            table.add_column(name, justify="right")
        table.add_column("")
        for row in self.rows:
            style = "red" if row.verdict == "DIFFERS" else None
            table.add_row(row.label, *row.numbers, row.verdict, style=style)
        return table

    def _documents(self) -> Iterator[Row]:
        """Orders and credit notes, returns, months, and stock adjustments."""
        file, numbers = self.file, self.found.numbers
        for label, path, name, is_money in TOTALS:
            in_file, came_out = _at(self.totals, path) or 0, numbers[name] if name else None
            yield Row(label, in_file, came_out, self._expected(path), is_money)
        yield Row("products in the catalogue", len(file.products), numbers["products"])
        completed = numbers["returns_completed"]
        yield Row("returns restocked and paid back", len(file.matching.returns), completed)
        yield Row(
            "exceptions: credit lines without a sale, wholly or in part",
            _exceptions(self.totals) or 0,
            numbers["exceptions"],
            _exceptions(self.expected),
        )
        for month in sorted({*file.by_month, *self.found.by_month}):
            orders, value = file.by_month.get(month, (0, 0))
            orders_out, value_out = self.found.by_month.get(month, (0, 0))
            yield Row(f"{month}: orders", orders, orders_out)
            yield Row(f"{month}: value, GBP", value, value_out, is_money=True)
        lines, units = file.adjustment_lines, sum(file.adjustments.values())
        yield Row("stock adjustments: lines of goods", lines, numbers["adjusted_lines"])
        yield Row("stock adjustments: units", units, numbers["adjusted_units"])

    def _stock(self) -> Iterator[Row]:
        """Only where nothing else has moved these products: otherwise the stock depends on more
        than the file."""
        opened = sum(self.opening.values())
        if not opened or not outcome.is_alone(self.file, opened):
            return
        numbers = self.found.numbers
        closing = {sku: units + self.opening.get(sku, 0) for sku, units in self.file.stock.items()}
        otherwise = sum(self.found.available.get(sku) != units for sku, units in closing.items())
        at_zero = sum(not units for units in closing.values())
        yield Row("stock: products", len(closing), numbers["skus"], self._expected("stock.skus"))
        yield Row(
            "stock: units at first",
            opened,
            numbers["units_received"],
            self._expected("stock.minimal_opening_units"),
        )
        yield Row(
            "stock: units at last",
            sum(closing.values()),
            numbers["units_available"],
            self._expected("stock.closing_units"),
        )
        yield Row(
            "stock: products at 0",
            at_zero,
            numbers["skus_at_zero"],
            self._expected("stock.skus_closing_zero"),
        )
        yield Row("stock: products that close at other units", 0, otherwise)

    def _other_totals(self) -> Iterator[Row]:
        """Other totals of the file that differ from the expected ones."""
        shown = {path for _, path, _, _ in TOTALS}
        named = {name: self.expected[name] for name in self.totals if name in self.expected}
        for path, expected, actual in comparison.compare(named, self.totals):
            if path not in shown and isinstance(expected, int) and isinstance(actual, int):
                yield Row(path, actual, None, expected)

    def _expected(self, path: str) -> int | None:
        return _at(self.expected, path)


def _exceptions(tree: Mapping[str, Any]) -> int | None:
    counts = [_at(tree, f"{MATCHING}.{extent}") for extent in ("none", "partial")]
    return None if None in counts else sum(filter(None, counts))


def _at(tree: Mapping[str, Any], path: str) -> int | None:
    node: Any = tree
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
    return node if isinstance(node, int) else None


MATCHING = "credit_matching_LIFO_customer_sku_price"

# label, path in the totals, name in the outcome (empty: only counted), whether it is money
TOTALS = (
    ("orders placed", "orders.placed", "orders", False),
    ("orders placed, by the log", "orders.placed", "placed_in_log", False),
    ("orders confirmed", "orders.placed", "confirmed", False),
    ("orders confirmed, by the log", "orders.placed", "confirmed_in_log", False),
    ("orders of guests", "orders.guest", "guests", False),
    ("orders without goods", "orders.without_goods", "without_goods", False),
    ("orders of value 0", "orders.zero_value", "of_value_zero", False),
    ("customers with orders", "orders.distinct_customers", "customers", False),
    ("order lines", "orders.lines", "all_lines", False),
    ("order lines: goods", "commands.reserve_lines", "goods_lines", False),
    ("order lines: charges", "commands.charge_lines", "charge_lines", False),
    ("value of orders, GBP", "orders.value_milli_gbp", "value", True),
    ("payments completed", "orders.placed", "payments", False),
    ("payments above 0", "commands.pay_nonzero", "charged", False),
    ("paid, GBP", "orders.value_milli_gbp", "paid", True),
    ("shipments created", "commands.ship_orders_with_goods", "shipments", False),
    ("units reserved", "commands.reserve_units", "units_reserved", False),
    ("credit notes", "credit_notes.count", "credit_notes", False),
    ("credit notes of guests", "credit_notes.guest", "guest_notes", False),
    ("credit notes: lines of goods", "by_line_class.CREDIT_GOODS.lines", "", False),
    ("credit notes: units restocked", "by_line_class.CREDIT_GOODS.units", "restocked", False),
    (
        "credit notes: value of goods, GBP",
        "by_line_class.CREDIT_GOODS.value_milli_gbp",
        "value_of_goods",
        True,
    ),
    (
        "credit notes: lines of charges",
        "by_line_class.CREDIT_CHARGE.lines",
        "charge_credits",
        False,
    ),
    (
        "credit notes: value of charges, GBP",
        "by_line_class.CREDIT_CHARGE.value_milli_gbp",
        "value_of_charges",
        True,
    ),
    ("credit lines that find their sales", f"{MATCHING}.full", "", False),
    ("credit lines that find some of theirs", f"{MATCHING}.partial", "", False),
    ("credit lines that find none", f"{MATCHING}.none", "", False),
    ("returns: sale lines", f"{MATCHING}.allocations", "allocations", False),
    ("returns: units", f"{MATCHING}.units_matched", "units_matched", False),
    ("returns: value, GBP", f"{MATCHING}.value_matched_milli", "value_matched", True),
    ("returns: paid back, GBP", f"{MATCHING}.value_matched_milli", "refunded", True),
    ("exceptions: units without a sale", f"{MATCHING}.units_unmatched", "units_unmatched", False),
    ("exceptions: value, GBP", f"{MATCHING}.value_unmatched_milli", "value_unmatched", True),
    ("orders wholly returned", f"{MATCHING}.orders_fully_returned", "wholly_returned", False),
    ("orders partly returned", f"{MATCHING}.orders_partially_returned", "partly_returned", False),
    (
        "orders cancelled on the day",
        f"{MATCHING}.orders_fully_returned_same_day",
        "cancelled_on_the_day",
        False,
    ),
    ("ledger adjustments", "by_line_class.LEDGER_ADJUSTMENT.lines", "ledger_lines", False),
    (
        "ledger adjustments: value, GBP",
        "by_line_class.LEDGER_ADJUSTMENT.value_milli_gbp",
        "ledger_value",
        True,
    ),
    ("ledger by the log, GBP", "grand.value_milli_gbp", "ledger", True),
    ("stock lines out, of whatever code", "commands.stock_out_lines", "", False),
    ("stock lines in, of whatever code", "commands.stock_in_lines", "", False),
)
