"""The restocking of one return: into the stock of all its products, once."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.aggregate import Aggregate, CommandRejected, Decision, EventsByStream, stream_name
from eventstore.messages import Event, State

from .commands import Restock, StockLine
from .events import GoodsRestocked, InventoryReturned, StockReturned
from .reservation import remaining, reservation_of, subtract, units_by_sku
from .stock import STOCK


class RestockingIsAnother(CommandRejected):
    """The return has been restocked with other goods."""


class Restocking(State, frozen=True):
    status: str = "new"
    lines: tuple[StockLine, ...] = ()


def streams(command: Restock) -> Sequence[str]:
    reservation = [reservation_of(command.order_id)] if command.order_id else []
    stock = (_stock(sku) for sku in units_by_sku(command.lines))
    return [_restocking(command.return_id), *reservation, *stock]


def restock(states: Mapping[str, Any], command: Restock) -> EventsByStream:
    own = _restocking(command.return_id)
    if states[own].status == "restocked":
        if units_by_sku(states[own].lines) != units_by_sku(command.lines):
            raise RestockingIsAnother(command.return_id)
        return {}
    events: dict[str, list[Event]] = {own: [GoodsRestocked(command.return_id, command.lines)]}
    if command.order_id:
        returned = InventoryReturned(command.order_id, command.return_id, command.lines)
        events[reservation_of(command.order_id)] = [returned]
    for sku, quantity in units_by_sku(_not_in_stock(states, command)).items():
        events[_stock(sku)] = [StockReturned(sku, command.return_id, quantity)]
    return events


def _not_in_stock(states: Mapping[str, Any], command: Restock) -> Sequence[StockLine]:
    """A return may name goods of a recalled parcel. They went into stock when the reservation was
    released."""
    reservation = states[reservation_of(command.order_id)] if command.order_id else None
    if reservation is None or reservation.status != "released":
        return command.lines
    return subtract(command.lines, units_by_sku(remaining(reservation)))


def _restocking(return_id: str) -> str:
    return stream_name(RESTOCKING.category, return_id)


def _stock(sku: str) -> str:
    return stream_name(STOCK.category, sku)


RESTOCKING = Aggregate(
    category="restocking",
    identity="return_id",
    initial=Restocking(),
    decide={},
    evolve={
        GoodsRestocked: lambda restocking, event: Restocking("restocked", event.lines),
    },
)

DECISIONS = {
    Restock: Decision(streams, restock),
}
