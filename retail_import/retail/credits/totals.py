"""Totals of credit matching: by line, by order, and on the day of sale."""

from collections import Counter
from collections.abc import Iterable

from retail_import.retail.classes import LineClass
from retail_import.retail.credits.matching import Allocation, Match, Sales
from retail_import.retail.documents import CreditNote, Document, Order


class CreditMatching:
    def __init__(self) -> None:
        self._sales = Sales()
        self._sold: Counter[str] = Counter()
        self._matches: list[Match] = []

    def add(self, document: Document) -> None:
        if isinstance(document, Order):
            goods = document.of_class(LineClass.SALE_GOODS)
            self._sold[document.invoice] = sum(line.quantity for line in goods)
            self._sales.remember(document)
        elif isinstance(document, CreditNote):
            self._matches.extend(self._sales.match(document))

    def totals(self) -> dict[str, int]:
        allocations = [allocation for match in self._matches for allocation in match.allocations]
        same_day = [allocation for allocation in allocations if allocation.same_day]
        returned = self._orders_fully_returned(allocations)
        extents = Counter(match.extent for match in self._matches)
        return {
            "full": extents["full"],
            "partial": extents["partial"],
            "none": extents["none"],
            "lines": len(self._matches),
            "units_unmatched": sum(match.unmatched for match in self._matches),
            "value_unmatched_milli": sum(match.unmatched_value for match in self._matches),
            "allocations": len(allocations),
            "units_matched": sum(allocation.units for allocation in allocations),
            "value_matched_milli": sum(allocation.value for allocation in allocations),
            "same_day_allocations": len(same_day),
            "same_day_units": sum(allocation.units for allocation in same_day),
            "same_day_value_milli": sum(allocation.value for allocation in same_day),
            "orders_fully_returned": returned,
            "orders_partially_returned": len(_units_by_order(allocations)) - returned,
            "orders_fully_returned_same_day": self._orders_fully_returned(same_day),
        }

    def _orders_fully_returned(self, allocations: Iterable[Allocation]) -> int:
        """Orders with all priced goods returned; free lines and charges do not count."""
        return sum(
            units == self._sold[order] for order, units in _units_by_order(allocations).items()
        )


def _units_by_order(allocations: Iterable[Allocation]) -> Counter[str]:
    units: Counter[str] = Counter()
    for allocation in allocations:
        units[allocation.sale.invoice] += allocation.units
    return units
