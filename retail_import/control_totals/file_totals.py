"""Count a file of invoices line by line, in file order, and match its credits to its sales."""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

GOODS = re.compile(r"[0-9]{5}[A-Z]{0,2}|DCGS.*|PADS", re.DOTALL)
FORMS = {"M/D/Y": "%m/%d/%Y %H:%M", "D/M/Y": "%d/%m/%Y %H:%M", "Y-M-D": "%Y-%m-%d %H:%M"}
SALES = ("FREE_LINE", "SALE_GOODS", "SALE_CHARGE")
CREDITS = ("CREDIT_GOODS", "CREDIT_CHARGE")
MONEY = ("SALE_GOODS", "SALE_CHARGE", "FREE_LINE", *CREDITS, "LEDGER_ADJUSTMENT")
CLASSES = (*MONEY, "STOCK_IN", "STOCK_OUT")


class Row(NamedTuple):
    """at: in the shop's local time. price: in thousandths of a pound."""

    kind: str
    invoice: str
    code: str
    units: int
    at: datetime
    price: int
    customer: str
    country: str

    @property
    def sku(self) -> str:
        return self.code.upper()

    @property
    def is_goods(self) -> bool:
        return _is_goods(self.code)

    @property
    def value(self) -> int:
        return self.units * self.price


class Sale(NamedTuple):
    """A line that was sold. units: those that a credit may still take."""

    invoice: str
    sku: str
    price: int
    customer: str
    at: datetime
    units: int


class Left(NamedTuple):
    """What is not imported: all lines of these invoices, and these lines."""

    invoices: Collection[str] = ()
    lines: Collection[int] = ()


NOTHING = Left()


class FileTotals:
    """totals: in the form of the expected totals. by_month: orders and their value. invoices: by
    class. adjustments: units by invoice and SKU, of goods. skus: that move. products: that are sold
    at a price."""

    def __init__(self, rows: Iterable[Row], earlier: Iterable[tuple[Sale, int]] = ()) -> None:
        """earlier: sales of other files, the oldest first, and how many units their whole orders
        sold at a price."""
        self.tallies = {kind: Tally() for kind in CLASSES}
        self.months, self.countries = defaultdict[str, Tally](Tally), defaultdict[str, Tally](Tally)
        self.whole = Tally()
        self.codes, self.customers = set[str](), set[str]()
        self.orders = defaultdict[str, Invoice](Invoice)
        self.notes = defaultdict[str, Invoice](Invoice)
        self.invoices = defaultdict[str, set[str]](set)
        self.adjustments = Counter[tuple[str, str]]()
        self.adjustment_lines = 0
        self.skus, self.products = set[str](), set[str]()
        self.stock, self.lowest, self.moves = Counter[str](), Counter[str](), 0
        self.stock_lines = Counter[str]()
        self.matching = Matching(earlier)
        for row in rows:
            self._add(row)

    def _add(self, row: Row) -> None:
        for tally in (
            self.whole,
            self.tallies[row.kind],
            self.months[_month(row.at)],
            self.countries[row.country],
        ):
            tally.add(row)
        self.codes.add(row.code)
        self.customers.add(row.customer)
        if row.kind in SALES:
            self.invoices["order"].add(row.invoice)
            self.orders[row.invoice].add(row)
            if row.is_goods and row.price:
                self.products.add(row.sku)
            self.matching.sell(row)
        elif row.kind in CREDITS:
            self.invoices["credit"].add(row.invoice)
            self.notes[row.invoice].add(row)
            self.matching.credit(row)
        elif row.kind == "LEDGER_ADJUSTMENT":
            self.invoices["ledger"].add(row.invoice)
        else:
            self.invoices["stock"].add(row.invoice)
            self.stock_lines[row.kind] += 1
            if row.is_goods:
                self.adjustments[row.invoice, row.sku] += row.units
                self.adjustment_lines += 1
        if row.is_goods and row.kind != "LEDGER_ADJUSTMENT":
            self._move(row.sku, row.units if row.kind.startswith("STOCK") else -row.units)

    def _move(self, sku: str, units: int) -> None:
        self.skus.add(sku)
        self.moves += 1
        self.stock[sku] += units
        self.lowest[sku] = min(self.lowest[sku], self.stock[sku])

    @property
    def by_month(self) -> dict[str, tuple[int, int]]:
        """Orders and their value, by the month of their first line."""
        found: dict[str, tuple[int, int]] = {}
        for order in self.orders.values():
            orders, value = found.get(order.month, (0, 0))
            found[order.month] = orders + 1, value + order.value
        return found

    def totals(self) -> dict[str, Any]:
        money = sum(self.tallies[kind].value for kind in MONEY)
        orders, notes = list(self.orders.values()), list(self.notes.values())
        return {
            "currency": "GBP",
            "money_unit": "milli-GBP (1/1000)",
            "grand": self._grand(),
            "by_line_class": {kind: each.totals() for kind, each in self.tallies.items()},
            "orders": _count_orders(orders),
            "credit_notes": {
                "count": len(notes),
                "guest": sum(not each.customer for each in notes),
                "without_goods": sum(not each.goods for each in notes),
            },
            "credit_matching_LIFO_customer_sku_price": self.matching.totals(),
            "stock": self._stock(),
            "by_month": [
                {"month": month, **each.totals()} for month, each in sorted(self.months.items())
            ],
            "by_country": {name: each.totals() for name, each in self.countries.items()},
            "commands": {
                **_count_commands(orders),
                "credit_notes": len(notes),
                "stock_out_lines": self.stock_lines["STOCK_OUT"],
                "stock_in_lines": self.stock_lines["STOCK_IN"],
                "ledger_adjustments": self.tallies["LEDGER_ADJUSTMENT"].lines,
            },
            "identity": f"{'+'.join(MONEY)} == grand.value_milli_gbp ({money})",
        }

    def _grand(self) -> dict[str, int]:
        return {
            "lines": self.whole.lines,
            "invoices": len(self.whole.invoices),
            "stock_codes_exact": len(self.codes),
            "stock_codes_upper": len({each.upper() for each in self.codes}),
            "customers": len(self.customers - {""}),
            "countries": len(self.countries),
            "units_net": self.whole.units,
            "value_milli_gbp": self.whole.value,
        }

    def _stock(self) -> dict[str, int]:
        closing = {sku: self.stock[sku] - self.lowest[sku] for sku in self.skus}
        return {
            "skus": len(self.skus),
            "movements": self.moves,
            "net_units": sum(self.stock.values()),
            "minimal_opening_units": -sum(self.lowest.values()),
            "closing_units": sum(closing.values()),
            "skus_with_opening": sum(each < 0 for each in self.lowest.values()),
            "skus_closing_zero": sum(each == 0 for each in closing.values()),
        }


class Tally:
    def __init__(self) -> None:
        self.lines = self.units = self.value = 0
        self.invoices = set[str]()

    def add(self, row: Row) -> None:
        self.lines += 1
        self.units += row.units
        self.value += row.units * row.price
        self.invoices.add(row.invoice)

    def totals(self) -> dict[str, int]:
        return {
            "lines": self.lines,
            "invoices": len(self.invoices),
            "units": self.units,
            "value_milli_gbp": self.value,
        }


class Invoice:
    """goods, units: lines and units of goods."""

    def __init__(self) -> None:
        self.lines = self.goods = self.units = self.value = 0
        self.customer = self.month = ""
        self.skus = set[str]()

    def add(self, row: Row) -> None:
        self.month = self.month or _month(row.at)
        self.customer = row.customer
        self.lines += 1
        self.value += row.value
        if row.is_goods:
            self.goods += 1
            self.units += row.units
            self.skus.add(row.sku)


def _count_orders(orders: list[Invoice]) -> dict[str, int]:
    return {
        "placed": len(orders),
        "guest": sum(not each.customer for each in orders),
        "without_goods": sum(not each.goods for each in orders),
        "zero_value": sum(each.value == 0 for each in orders),
        "lines": sum(each.lines for each in orders),
        "distinct_customers": len({each.customer for each in orders} - {""}),
        "distinct_skus_upper": len(set[str]().union(*(each.skus for each in orders))),
        "value_milli_gbp": sum(each.value for each in orders),
    }


def _count_commands(orders: list[Invoice]) -> dict[str, int]:
    return {
        "place_order": len(orders),
        "pay_nonzero": sum(each.value != 0 for each in orders),
        "ship_orders_with_goods": sum(each.goods > 0 for each in orders),
        "reserve_lines": sum(each.goods for each in orders),
        "reserve_units": sum(each.units for each in orders),
        "charge_lines": sum(each.lines - each.goods for each in orders),
    }


class Matching:
    """Each credit line takes the last sale before it of its customer, SKU and price."""

    def __init__(self, earlier: Iterable[tuple[Sale, int]]) -> None:
        self._stacks = defaultdict[tuple[str, str, int], list[list[Any]]](list)
        self._sold = Counter[str]()
        self.returned, self._same_day = Counter[str](), Counter[str]()
        # Credit note and order: each is a return of its own.
        self.returns = set[tuple[str, str]]()
        self.extents, self._counts = Counter[str](), Counter[str]()
        for sale, sold in earlier:
            self._sold[sale.invoice] = sold
            self._push(sale)

    def sell(self, row: Row) -> None:
        if row.kind == "SALE_GOODS":
            self._sold[row.invoice] += row.units
            if row.customer:
                self._push(Sale(row.invoice, row.sku, row.price, row.customer, row.at, row.units))

    def _push(self, sale: Sale) -> None:
        self._stacks[sale.customer, sale.sku, sale.price].append([sale, sale.units])

    def credit(self, row: Row) -> None:
        if row.kind != "CREDIT_GOODS" or not row.customer:
            return
        left = -row.units
        for entry in reversed(self._stacks[row.customer, row.sku, row.price]):
            sale, units = entry
            # An earlier file may hold sales that are later than this credit.
            taken = min(left, units) if sale.at <= row.at else 0
            if taken:
                entry[1] -= taken
                left -= taken
                self._take(sale, row, taken)
        stack = self._stacks[row.customer, row.sku, row.price]
        stack[:] = [entry for entry in stack if entry[1]]
        self.extents["full" if not left else "none" if left == -row.units else "partial"] += 1
        self._counts.update(units_unmatched=left, value_unmatched_milli=left * row.price, lines=1)

    def _take(self, sale: Sale, row: Row, units: int) -> None:
        value, same = units * sale.price, sale.at.date() == row.at.date()
        self.returned[sale.invoice] += units
        self.returns.add((row.invoice, sale.invoice))
        self._counts.update(allocations=1, units_matched=units, value_matched_milli=value)
        self._counts.update(
            same_day_allocations=same,
            same_day_units=same * units,
            same_day_value_milli=same * value,
        )
        if same:
            self._same_day[sale.invoice] += units

    def totals(self) -> dict[str, int]:
        wholly = sum(units == self._sold[order] for order, units in self.returned.items())
        names = (
            *("lines", "units_unmatched", "value_unmatched_milli", "allocations"),
            *("units_matched", "value_matched_milli"),
            *("same_day_allocations", "same_day_units", "same_day_value_milli"),
        )
        return {
            **{extent: self.extents[extent] for extent in ("full", "partial", "none")},
            **{name: self._counts[name] for name in names},
            "orders_fully_returned": wholly,
            "orders_partially_returned": len(self.returned) - wholly,
            "orders_fully_returned_same_day": sum(
                units == self._sold[order] for order, units in self._same_day.items()
            ),
        }


def of_file(
    path: Path, *, form: str = "M/D/Y", left: Left = NOTHING, earlier: Iterable[Any] = ()
) -> FileTotals:
    """path: of UTF-8 text. form: of its dates."""
    return FileTotals(rows(path, form=form, left=left), earlier)


def rows(path: Path, *, form: str, left: Left) -> Iterator[Row]:
    priced = {each["InvoiceNo"] for each in _read(path, left) if Decimal(each["UnitPrice"]) != 0}
    for each in _read(path, left):
        invoice, code, customer = each["InvoiceNo"], each["StockCode"], each["CustomerID"]
        units, price = int(each["Quantity"]), _thousandths(each["UnitPrice"])
        yield Row(
            _kind(invoice, code, units, price, invoice in priced or bool(customer)),
            invoice,
            code,
            units,
            _time(each["InvoiceDate"][:16] if form == "Y-M-D" else each["InvoiceDate"], form),
            price,
            customer,
            each["Country"],
        )


def _read(path: Path, left: Left) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        reader = csv.reader(file)
        header, number = next(reader), reader.line_num
        for row in reader:
            start, number = number + 1, reader.line_num
            if row and start not in left.lines and row[0] not in left.invoices:
                yield dict(zip(header, row, strict=False))


def _kind(invoice: str, code: str, units: int, price: int, is_sale: bool) -> str:
    is_goods = _is_goods(code)
    if invoice.startswith("A"):
        return "LEDGER_ADJUSTMENT"
    if invoice.startswith("C"):
        return "CREDIT_GOODS" if is_goods else "CREDIT_CHARGE"
    if units < 0:
        return "STOCK_OUT"
    if price == 0:
        return "FREE_LINE" if is_sale else "STOCK_IN"
    return "SALE_GOODS" if is_goods else "SALE_CHARGE"


@lru_cache(8192)
def _is_goods(code: str) -> bool:
    return bool(GOODS.fullmatch(code.upper()))


@lru_cache(8192)
def _month(at: datetime) -> str:
    return f"{at:%Y-%m}"


@lru_cache(8192)
def _thousandths(text: str) -> int:
    return int(Decimal(text).scaleb(3))


@lru_cache(8192)
def _time(text: str, form: str) -> datetime:
    return datetime.strptime(text.replace("T", " "), FORMS[form])
