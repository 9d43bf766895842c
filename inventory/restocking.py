"""Goods that come back: on the shelves of all their products at once, and once only."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.aggregate import Aggregate, CommandRejected, Decision, EventsByStream, stream_name
from eventstore.messages import State

from .commands import Restock, StockLine
from .events import GoodsRestocked, InventoryReturned, StockReturned
from .reservation import remaining, reservation_of, wanted, without
from .stock import STOCK


class RestockingIsAnother(CommandRejected):
    """Other goods of this return are on the shelf already."""


class Restocking(State, frozen=True):
    status: str = "new"
    lines: tuple[StockLine, ...] = ()


def streams(command: Restock) -> Sequence[str]:
    its_order = [reservation_of(command.order_id)] if command.order_id else []
    return [
        _restocking(command.return_id),
        *its_order,
        *(_stock(sku) for sku in wanted(command.lines)),
    ]


def restock(states: Mapping[str, Any], command: Restock) -> EventsByStream:
    own = _restocking(command.return_id)
    if states[own].status == "restocked":
        if wanted(states[own].lines) != wanted(command.lines):
            raise RestockingIsAnother(command.return_id)
        return {}
    return {
        own: [GoodsRestocked(command.return_id, command.lines)],
        **_told_to_its_order(command),
        **{
            _stock(sku): [StockReturned(sku, command.return_id, quantity)]
            for sku, quantity in wanted(_not_here(states, command)).items()
        },
    }


def _told_to_its_order(command: Restock) -> EventsByStream:
    if not command.order_id:
        return {}
    returned = InventoryReturned(command.order_id, command.return_id, command.lines)
    return {reservation_of(command.order_id): [returned]}


def _not_here(states: Mapping[str, Any], command: Restock) -> Sequence[StockLine]:
    """Goods of a parcel that was called off went on the shelf when they were released; a return may
    name them too."""
    reservation = states[reservation_of(command.order_id)] if command.order_id else None
    if reservation is None or reservation.status != "released":
        return command.lines
    return without(command.lines, wanted(remaining(reservation)))


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
