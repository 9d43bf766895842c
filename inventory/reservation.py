"""The reservation of one order: decided over the stock of all its products, all lines or none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.aggregate import Aggregate, CommandRejected, Decision, EventsByStream, stream_name
from eventstore.messages import State, replace

from .commands import ReleaseInventory, ReserveInventory, StockLine
from .events import (
    InventoryReleased,
    InventoryReservationFailed,
    InventoryReserved,
    InventoryReturned,
    Shortage,
    StockReleased,
    StockReserved,
)
from .stock import STOCK


class ReservationIsAnother(CommandRejected):
    """The order has a reservation of other goods."""


class Reservation(State, frozen=True):
    """status: new, reserved, failed or released. lines: as reserved. back: units that returns have
    brought back, by product."""

    status: str = "new"
    lines: tuple[StockLine, ...] = ()
    back: dict[str, int] = {}


def streams(command: ReserveInventory | ReleaseInventory) -> Sequence[str]:
    return [reservation_of(command.order_id), *(_stock(sku) for sku in units_by_sku(command.lines))]


def reserve(states: Mapping[str, Any], command: ReserveInventory) -> EventsByStream:
    own = reservation_of(command.order_id)
    reservation, wanted = states[own], units_by_sku(command.lines)
    if reservation.status == "reserved" and units_by_sku(reservation.lines) != wanted:
        raise ReservationIsAnother(command.order_id)
    if reservation.status != "new":
        return {}
    shortages = [
        Shortage(sku, quantity, states[_stock(sku)].available)
        for sku, quantity in wanted.items()
        if quantity > states[_stock(sku)].available
    ]
    if shortages:
        return {own: [InventoryReservationFailed(command.order_id, tuple(shortages))]}
    return {
        own: [InventoryReserved(command.order_id, command.lines)],
        **{
            _stock(sku): [StockReserved(sku, command.order_id, quantity)]
            for sku, quantity in wanted.items()
        },
    }


def release(states: Mapping[str, Any], command: ReleaseInventory) -> EventsByStream:
    own = reservation_of(command.order_id)
    reservation = states[own]
    if reservation.status not in ("new", "reserved"):
        return {}
    lines = remaining(reservation)
    return {
        own: [InventoryReleased(command.order_id, lines)],
        **{
            _stock(sku): [StockReleased(sku, command.order_id, quantity)]
            for sku, quantity in units_by_sku(lines).items()
        },
    }


def remaining(reservation: Reservation) -> tuple[StockLine, ...]:
    """The reserved goods that no return has brought back."""
    return subtract(reservation.lines, reservation.back)


def subtract(lines: Sequence[StockLine], gone: Mapping[str, int]) -> tuple[StockLine, ...]:
    """The lines less the units gone, by product. Extra units of one product are not subtracted from
    another."""
    return tuple(
        StockLine(sku, quantity) for sku, quantity in (units_by_sku(lines) - Counter(gone)).items()
    )


def units_by_sku(lines: Sequence[StockLine]) -> Counter[str]:
    """Units by product: an order may name a product in several lines."""
    units: Counter[str] = Counter()
    for line in lines:
        units[line.sku] += line.quantity
    return units


def reservation_of(order_id: str) -> str:
    return stream_name("reservation", order_id)


def _stock(sku: str) -> str:
    return stream_name(STOCK.category, sku)


def returned(reservation: Reservation, event: InventoryReturned) -> Reservation:
    return replace(reservation, back=dict(Counter(reservation.back) + units_by_sku(event.lines)))


RESERVATION = Aggregate(
    category="reservation",
    identity="order_id",
    initial=Reservation(),
    decide={},
    evolve={
        InventoryReserved: lambda reservation, event: replace(
            reservation, status="reserved", lines=event.lines
        ),
        InventoryReservationFailed: lambda reservation, event: replace(
            reservation, status="failed"
        ),
        InventoryReleased: lambda reservation, event: replace(reservation, status="released"),
        InventoryReturned: returned,
    },
)

DECISIONS = {
    ReserveInventory: Decision(streams, reserve),
    ReleaseInventory: Decision(streams, release),
}
