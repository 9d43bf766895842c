"""The stock movements of documents, and their totals.

Goods move stock at any price: those of an order leave, those of a credit note come back, matched to
a sale or not, and an adjustment adds or takes away by its sign. Other codes never move stock, not
even on a stock adjustment (ten real lines at price 0, for postage and vouchers). Ledger adjustments
never do.
"""

from collections import defaultdict
from collections.abc import Iterator

from msgspec import Struct

from .documents import Document, LedgerAdjustment, StockAdjustment
from .line import Line
from .opening_stock import OpeningStock


class Movement(Struct, frozen=True, gc=False):
    """units: added to stock; below 0 taken away."""

    sku: str
    units: int
    line: Line


def movements(document: Document) -> Iterator[Movement]:
    if isinstance(document, LedgerAdjustment):
        return
    sign = 1 if isinstance(document, StockAdjustment) else -1
    for line in document.goods:
        yield Movement(line.sku, sign * line.quantity, line)


class Level(Struct):
    """The level of one SKU, counted from 0."""

    units: int = 0
    lowest: int = 0
    moves: int = 0


class StockCount:
    def __init__(self) -> None:
        self._levels: defaultdict[str, Level] = defaultdict(Level)

    def add(self, document: Document) -> None:
        for movement in movements(document):
            level = self._levels[movement.sku]
            level.units += movement.units
            level.lowest = min(level.lowest, level.units)
            level.moves += 1

    def opening(self) -> list[OpeningStock]:
        """The least stock with which no movement is refused, by SKU."""
        return [
            OpeningStock(sku, -level.lowest, level.units, level.units - level.lowest, level.moves)
            for sku, level in sorted(self._levels.items())
        ]

    def totals(self) -> dict[str, int]:
        skus = self.opening()
        return {
            "skus": len(skus),
            "movements": sum(each.moves for each in skus),
            "net_units": sum(each.net for each in skus),
            "minimal_opening_units": sum(each.units for each in skus),
            "closing_units": sum(each.closing for each in skus),
            "skus_with_opening": sum(each.units > 0 for each in skus),
            "skus_closing_zero": sum(each.closing == 0 for each in skus),
        }
