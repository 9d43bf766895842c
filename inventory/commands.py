"""What the warehouse's books can be asked for."""

from eventstore.messages import Command, InvalidMessage, Value


class StockLine(Value, frozen=True):
    sku: str
    quantity: int

    def validate(self) -> None:
        if self.quantity < 1:
            raise InvalidMessage(f"StockLine: {self.quantity} of {self.sku} is not at least 1.")


class ReceiveStock(Command, frozen=True):
    sku: str
    quantity: int
    reference: str = ""

    def validate(self) -> None:
        if self.quantity < 1:
            raise InvalidMessage(f"ReceiveStock: {self.quantity} of {self.sku} is not at least 1.")


class AdjustStock(Command, frozen=True):
    """Set the books right. quantity: what is added, or taken away when negative."""

    sku: str
    quantity: int
    reason: str


class ReserveInventory(Command, frozen=True):
    """All lines or none."""

    order_id: str
    lines: tuple[StockLine, ...]


class ReleaseInventory(Command, frozen=True):
    """Give back what is reserved and has not come back by a return. lines: as they were reserved;
    they name the stock that is concerned."""

    order_id: str
    lines: tuple[StockLine, ...]


class Restock(Command, frozen=True):
    """Put back what came back. return_id: what it came back by; asked for twice it is done once.

    order_id: for which the goods were reserved, if that is known; what was released of them is on
    the shelf already.
    """

    return_id: str
    lines: tuple[StockLine, ...]
    order_id: str = ""


COMMANDS = {
    "inventory.receive_stock": ReceiveStock,
    "inventory.adjust_stock": AdjustStock,
    "inventory.reserve_inventory": ReserveInventory,
    "inventory.release_inventory": ReleaseInventory,
    "inventory.restock": Restock,
}
