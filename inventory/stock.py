"""The stock of one product: how many units can still be reserved."""

from eventstore.aggregate import Aggregate, CommandRejected
from eventstore.messages import Event, State

from .commands import AdjustStock, ReceiveStock
from .events import StockAdjusted, StockReceived, StockReleased, StockReserved, StockReturned


class NotEnoughStock(CommandRejected):
    """The stock has fewer available units than the adjustment takes away."""


class Stock(State, frozen=True):
    available: int = 0


def receive(stock: Stock, command: ReceiveStock) -> list[Event]:
    return [StockReceived(command.sku, command.quantity, command.reference)]


def adjust(stock: Stock, command: AdjustStock) -> list[Event]:
    if stock.available + command.quantity < 0:
        raise NotEnoughStock(
            f"{command.sku} has {stock.available} available, not {-command.quantity}."
        )
    return [StockAdjusted(command.sku, command.quantity, command.reason)]


STOCK = Aggregate(
    category="stock",
    identity="sku",
    initial=Stock(),
    decide={
        ReceiveStock: receive,
        AdjustStock: adjust,
    },
    evolve={
        StockReceived: lambda stock, event: Stock(stock.available + event.quantity),
        StockAdjusted: lambda stock, event: Stock(stock.available + event.quantity),
        StockReserved: lambda stock, event: Stock(stock.available - event.quantity),
        StockReleased: lambda stock, event: Stock(stock.available + event.quantity),
        StockReturned: lambda stock, event: Stock(stock.available + event.quantity),
    },
    snapshot_every=500,
)
