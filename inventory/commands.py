"""The commands of the warehouse."""

from eventstore.messages import Command, InvalidMessage, Value


class StockLine(Value, frozen=True):
    sku: str
    quantity: int

    def validate(self) -> None:
        if self.quantity < 1:
            raise InvalidMessage(
                f"StockLine: quantity {self.quantity} of {self.sku}; it must be at least 1."
            )


class ReceiveStock(Command, frozen=True):
    sku: str
    quantity: int
    reference: str = ""

    def validate(self) -> None:
        if self.quantity < 1:
            raise InvalidMessage(
                f"ReceiveStock: quantity {self.quantity} of {self.sku}; it must be at least 1."
            )


class AdjustStock(Command, frozen=True):
    """Correct the books. quantity: units to add; below 0 to take away."""

    sku: str
    quantity: int
    reason: str


class ReserveInventory(Command, frozen=True):
    """Reserve all lines or none."""

    order_id: str
    lines: tuple[StockLine, ...]


class ReleaseInventory(Command, frozen=True):
    """Release the reserved goods that no return has brought back. lines: as they were reserved;
    they
    name the products."""

    order_id: str
    lines: tuple[StockLine, ...]


class Restock(Command, frozen=True):
    """Put returned goods back into stock. return_id: the return that brought them; a repeat does
    nothing.

    order_id: the order that the goods were reserved for, empty if it is not known. Goods of it that
    were released are in stock already.
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
