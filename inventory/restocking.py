"""Goods that come back: on the shelves of all their products at once, and once only."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.aggregate import Aggregate, Decided, Decision, Refusal, stream_name
from eventstore.messages import State

from .commands import Restock, StockLine
from .events import GoodsRestocked, StockReturned
from .reservation import wanted
from .stock import STOCK


class RestockingIsAnother(Refusal):
    """Other goods of this return are on the shelf already."""


class Restocking(State, frozen=True):
    status: str = "new"
    lines: tuple[StockLine, ...] = ()


def streams(command: Restock) -> Sequence[str]:
    return [_restocking(command.return_id), *(_stock(sku) for sku in wanted(command.lines))]


def restock(states: Mapping[str, Any], command: Restock) -> Decided:
    own = _restocking(command.return_id)
    if states[own].status == "restocked":
        if wanted(states[own].lines) != wanted(command.lines):
            raise RestockingIsAnother(command.return_id)
        return {}
    return {
        own: [GoodsRestocked(command.return_id, command.lines)],
        **{
            _stock(sku): [StockReturned(sku, command.return_id, quantity)]
            for sku, quantity in wanted(command.lines).items()
        },
    }


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
