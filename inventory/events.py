"""The events of stock, reservations and restocking."""

from eventstore.messages import Event, Value

from .commands import StockLine


class Shortage(Value, frozen=True):
    sku: str
    wanted: int
    available: int


class StockReceived(Event, frozen=True):
    sku: str
    quantity: int
    reference: str = ""


class StockAdjusted(Event, frozen=True):
    sku: str
    quantity: int
    reason: str


class StockReserved(Event, frozen=True):
    sku: str
    order_id: str
    quantity: int


class StockReleased(Event, frozen=True):
    sku: str
    order_id: str
    quantity: int


class InventoryReserved(Event, frozen=True):
    order_id: str
    lines: tuple[StockLine, ...]


class InventoryReservationFailed(Event, frozen=True):
    order_id: str
    shortages: tuple[Shortage, ...]


class InventoryReleased(Event, frozen=True):
    """lines: the released goods, without those that a return had brought back. Empty when nothing
    was reserved; then a later ReserveInventory does nothing."""

    order_id: str
    lines: tuple[StockLine, ...]


class InventoryReturned(Event, frozen=True):
    """A return brought these goods of the order back: they are not left to release."""

    order_id: str
    return_id: str
    lines: tuple[StockLine, ...]


class StockReturned(Event, frozen=True):
    sku: str
    return_id: str
    quantity: int


class GoodsRestocked(Event, frozen=True):
    """lines: the goods that arrived. Those that were released before are in stock already and are
    not counted twice."""

    return_id: str
    lines: tuple[StockLine, ...]


EVENTS = {
    "inventory.stock_received": StockReceived,
    "inventory.stock_adjusted": StockAdjusted,
    "inventory.stock_reserved": StockReserved,
    "inventory.stock_released": StockReleased,
    "inventory.inventory_reserved": InventoryReserved,
    "inventory.inventory_reservation_failed": InventoryReservationFailed,
    "inventory.inventory_released": InventoryReleased,
    "inventory.inventory_returned": InventoryReturned,
    "inventory.stock_returned": StockReturned,
    "inventory.goods_restocked": GoodsRestocked,
}
