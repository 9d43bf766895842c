"""Stock levels: one row for each product, folded from the events of its stock."""

from operator import attrgetter

from eventstore.subscriptions import Projection, Row

from .events import StockAdjusted, StockReceived, StockReleased, StockReserved, StockReturned
from .models import StockLevel


def stock_received(row: Row, event: StockReceived) -> Row:
    return _move(row, "received", event.quantity, available=event.quantity)


def stock_adjusted(row: Row, event: StockAdjusted) -> Row:
    return _move(row, "adjusted", event.quantity, available=event.quantity)


def stock_reserved(row: Row, event: StockReserved) -> Row:
    return _move(row, "reserved", event.quantity, available=-event.quantity)


def stock_released(row: Row, event: StockReleased) -> Row:
    return _move(row, "reserved", -event.quantity, available=event.quantity)


def stock_returned(row: Row, event: StockReturned) -> Row:
    return _move(row, "returned", event.quantity, available=event.quantity)


def _move(row: Row, column: str, quantity: int, *, available: int) -> Row:
    return row | {column: row[column] + quantity, "available": row["available"] + available}


STOCK_LEVELS = Projection(
    model=StockLevel,
    category="stock",
    key=attrgetter("sku"),
    evolve={
        StockReceived: stock_received,
        StockAdjusted: stock_adjusted,
        StockReserved: stock_reserved,
        StockReleased: stock_released,
        StockReturned: stock_returned,
    },
)
