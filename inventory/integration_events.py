"""What other systems get of stock: the available quantity of a product, after each change."""

from collections.abc import Sequence

from eventstore.messages import Event, IntegrationEvent, StateTransfer
from eventstore.subscriptions import Publication

from .events import StockAdjusted, StockReceived, StockReleased, StockReserved, StockReturned
from .stock import STOCK


class StockLevelChanged(StateTransfer, frozen=True):
    """version: of the product's stream; of two levels the one with the larger version is newer."""

    sku: str
    available: int
    version: int


PUBLISHED = {"inventory.stock_level_changed": StockLevelChanged}

StockEvent = StockReceived | StockAdjusted | StockReserved | StockReleased | StockReturned


def stock_changed(event: StockEvent, history: Sequence[Event]) -> list[IntegrationEvent]:
    stock = STOCK.fold(history)
    return [StockLevelChanged(event.sku, stock.available, len(history))]


PUBLICATION = Publication(
    publish={
        StockReceived: stock_changed,
        StockAdjusted: stock_changed,
        StockReserved: stock_changed,
        StockReleased: stock_changed,
        StockReturned: stock_changed,
    },
)
