"""The reservation of one order: decided over the stock of all its products at once, all lines or none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.aggregate import Aggregate, Decided, Decision, Refusal, stream_name
from eventstore.messages import State

from .commands import ReleaseInventory, ReserveInventory, StockLine
from .events import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    Shortage,
    StockReleased,
    StockReserved,
)
from .stock import STOCK


class ReservationIsAnother(Refusal):
    """Other goods are reserved for this order."""


class Reservation(State, frozen=True):
    status: str = "new"
    lines: tuple[StockLine, ...] = ()


def streams(command: ReserveInventory | ReleaseInventory) -> Sequence[str]:
    return [_reservation(command.order_id), *(_stock(sku) for sku in wanted(command.lines))]


def reserve(states: Mapping[str, Any], command: ReserveInventory) -> Decided:
    own = _reservation(command.order_id)
    if states[own].status == "reserved" and wanted(states[own].lines) != wanted(command.lines):
        raise ReservationIsAnother(command.order_id)
    if states[own].status != "new":
        return {}
    if shortages := _shortages(states, command.lines):
        return {own: [InventoryReservationFailed(command.order_id, shortages)]}
    return {
        own: [InventoryReserved(command.order_id, command.lines)],
        **{
            _stock(sku): [StockReserved(sku, command.order_id, quantity)]
            for sku, quantity in wanted(command.lines).items()
        },
    }


def release(states: Mapping[str, Any], command: ReleaseInventory) -> Decided:
    own = _reservation(command.order_id)
    reservation = states[own]
    if reservation.status not in ("new", "reserved"):
        return {}
    return {
        own: [InventoryReleased(command.order_id, reservation.lines)],
        **{
            _stock(sku): [StockReleased(sku, command.order_id, quantity)]
            for sku, quantity in wanted(reservation.lines).items()
        },
    }


def wanted(lines: Sequence[StockLine]) -> Counter[str]:
    """Units by product: an order may name a product in several lines."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return units


def _shortages(states: Mapping[str, Any], lines: Sequence[StockLine]) -> tuple[Shortage, ...]:
    return tuple(
        Shortage(sku, quantity, states[_stock(sku)].available)
        for sku, quantity in wanted(lines).items()
        if quantity > states[_stock(sku)].available
    )


def _reservation(order_id: str) -> str:
    return stream_name("reservation", order_id)


def _stock(sku: str) -> str:
    return stream_name(STOCK.category, sku)


RESERVATION = Aggregate(
    category="reservation",
    identity="order_id",
    initial=Reservation(),
    decide={},
    evolve={
        InventoryReserved: lambda reservation, event: Reservation("reserved", event.lines),
        InventoryReservationFailed: lambda reservation, event: Reservation("failed"),
        InventoryReleased: lambda reservation, event: Reservation("released"),
    },
)

DECISIONS = {
    ReserveInventory: Decision(streams, reserve),
    ReleaseInventory: Decision(streams, release),
}
