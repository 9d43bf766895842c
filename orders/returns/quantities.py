"""Units of an order: how many are left to return, which of them arrived, what they are worth."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from eventstore.aggregate import CommandRejected
from eventstore.messages import replace
from orders.events import Charge, OrderLine, Portion, ReturnedCharge, ReturnedLine


class NotOnTheOrder(CommandRejected):
    """The order has no line or charge with this number."""


class MoreThanWasBought(CommandRejected):
    """More units than the order has left to return."""


class MoreThanWasAnnounced(CommandRejected):
    """More goods than the return awaits; the others need a return of their own."""


def price_lines(
    bought: Sequence[OrderLine], back: Mapping[int, int], wanted: Sequence[Portion]
) -> tuple[ReturnedLine, ...]:
    """The wanted units, at the prices paid.

    back: units by line number that belong to a return already. Raises NotOnTheOrder,
    MoreThanWasBought.
    """
    _refuse_more_than_is_left(bought, back, wanted, kind="line")
    lines = ((bought[portion.number - 1], portion) for portion in wanted)
    return tuple(
        ReturnedLine(portion.number, line.sku, portion.quantity, line.unit_price)
        for line, portion in lines
    )


def price_charges(
    charged: Sequence[Charge], back: Mapping[int, int], wanted: Sequence[Portion]
) -> tuple[ReturnedCharge, ...]:
    """As price_lines, for charges."""
    _refuse_more_than_is_left(charged, back, wanted, kind="charge")
    charges = ((charged[portion.number - 1], portion) for portion in wanted)
    return tuple(
        ReturnedCharge(portion.number, charge.code, portion.quantity, charge.unit_price)
        for charge, portion in charges
    )


def split(
    awaited: Sequence[ReturnedLine], arrived: Iterable[Portion]
) -> tuple[tuple[ReturnedLine, ...], tuple[Portion, ...]]:
    """What arrived, at the announced prices, and what is missing. Raises MoreThanWasAnnounced."""
    counted = count(arrived)
    here, missing = [], []
    for line in awaited:
        quantity = min(line.quantity, counted[line.number])
        counted[line.number] -= quantity
        if quantity:
            here.append(replace(line, quantity=quantity))
        if quantity < line.quantity:
            missing.append(Portion(line.number, line.quantity - quantity))
    if extra := +counted:
        number = min(extra)
        raise MoreThanWasAnnounced(f"Line {number}: {extra[number]} more than awaited.")
    return tuple(here), tuple(missing)


def count(portions: Iterable[Portion]) -> Counter[int]:
    """Units by line number. Two lists of the same goods count alike, in whatever order."""
    counted: Counter[int] = Counter()
    for portion in portions:
        counted[portion.number] += portion.quantity
    return counted


def subtract(
    awaited: Sequence[ReturnedLine], arrived: Iterable[Portion]
) -> tuple[ReturnedLine, ...]:
    """What is still awaited. Extra units of one line are not subtracted from another."""
    counted = count(arrived)
    remaining = []
    for line in awaited:
        quantity = min(line.quantity, counted[line.number])
        counted[line.number] -= quantity
        if quantity < line.quantity:
            remaining.append(replace(line, quantity=line.quantity - quantity))
    return tuple(remaining)


def left(bought: Sequence[OrderLine | Charge], back: Mapping[int, int]) -> dict[int, int]:
    """Units by line number that belong to no return yet."""
    return {
        number: part.quantity - back.get(number, 0) for number, part in enumerate(bought, start=1)
    }


def portions(parts: Iterable[ReturnedLine | ReturnedCharge]) -> tuple[Portion, ...]:
    return tuple(Portion(part.number, part.quantity) for part in parts)


def total(parts: Iterable[OrderLine | Charge | ReturnedLine | ReturnedCharge]) -> int:
    """In the unit of the prices."""
    return sum(part.quantity * part.unit_price for part in parts)


def _refuse_more_than_is_left(
    bought: Sequence[OrderLine | Charge],
    back: Mapping[int, int],
    wanted: Iterable[Portion],
    *,
    kind: str,
) -> None:
    available = left(bought, back)
    for number, quantity in count(wanted).items():
        if number not in available:
            raise NotOnTheOrder(f"There is no {kind} {number}; the order has {len(bought)}.")
        if quantity > available[number]:
            raise MoreThanWasBought(
                f"Of {kind} {number}, {available[number]} can be returned, not {quantity}."
            )
