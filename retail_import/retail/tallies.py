"""Tallies of lines, invoices, units and value: in total, by class, month and country."""

from collections import defaultdict
from collections.abc import Callable

from . import london
from .classes import LineClass
from .documents import Document
from .line import Line


class Tally:
    def __init__(self) -> None:
        self.lines = self.units = self.value = 0
        self.invoices: set[str] = set()

    def add(self, line: Line) -> None:
        self.lines += 1
        self.invoices.add(line.invoice)
        self.units += line.quantity
        self.value += line.value

    def totals(self) -> dict[str, int]:
        return {
            "lines": self.lines,
            "invoices": len(self.invoices),
            "units": self.units,
            "value_milli_gbp": self.value,
        }


class TallyBy:
    """One tally for each group of lines."""

    def __init__(self, group: Callable[[Line, LineClass], str]) -> None:
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._group = group

    def add(self, document: Document) -> None:
        for line, kind in zip(document.lines, document.kinds, strict=True):
            self.tallies[self._group(line, kind)].add(line)

    def totals(self) -> dict[str, dict[str, int]]:
        return {name: tally.totals() for name, tally in sorted(self.tallies.items())}


def by_class() -> TallyBy:
    tallies = TallyBy(lambda line, kind: kind)
    for kind in LineClass:
        tallies.tallies[kind] = Tally()  # a class without lines has zeros
    return tallies


def by_month() -> TallyBy:
    """By month in London, not in UTC."""
    return TallyBy(lambda line, kind: london.month(line.at))


def by_country() -> TallyBy:
    return TallyBy(lambda line, kind: line.country)


class Grand:
    def __init__(self) -> None:
        self._tally = Tally()
        self._codes: set[str] = set()
        self._customers: set[str | None] = {None}
        self._countries: set[str] = set()

    def add(self, document: Document) -> None:
        self._customers.add(document.customer)
        self._countries.add(document.country)
        for line in document.lines:
            self._tally.add(line)
            self._codes.add(line.code)

    def totals(self) -> dict[str, int]:
        return {
            "lines": self._tally.lines,
            "invoices": len(self._tally.invoices),
            "stock_codes_exact": len(self._codes),
            "stock_codes_upper": len({code.upper() for code in self._codes}),
            "customers": len(self._customers - {None}),
            "countries": len(self._countries),
            "units_net": self._tally.units,
            "value_milli_gbp": self._tally.value,
        }
