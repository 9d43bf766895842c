"""What has happened to stock and to reservations."""

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
    """lines: what went back, without what a return had brought; none when nothing was reserved, and
    then a reservation that comes later is refused."""

    order_id: str
    lines: tuple[StockLine, ...]


class InventoryReturned(Event, frozen=True):
    """Of the order's goods these have come back by a return: nothing of them is left to release."""

    order_id: str
    return_id: str
    lines: tuple[StockLine, ...]


class StockReturned(Event, frozen=True):
    sku: str
    return_id: str
    quantity: int


class GoodsRestocked(Event, frozen=True):
    """lines: what came; it is on the shelf, also where it was released before and is not put there
    once more."""

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
