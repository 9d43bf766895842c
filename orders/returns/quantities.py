"""Which units of an order: how many are left to return, what of the announced has come, and what
they are worth."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from eventstore.aggregate import CommandRejected
from eventstore.messages import replace
from orders.events import Charge, OrderLine, Portion, ReturnedCharge, ReturnedLine


class NotOnTheOrder(CommandRejected):
    """The order has no line or charge of this number."""


class MoreThanWasBought(CommandRejected):
    """More units than were bought and have not been returned yet."""


class MoreThanWasAnnounced(CommandRejected):
    """More came than the return is about; it needs a return of its own."""


def lines(
    bought: Sequence[OrderLine], back: Mapping[int, int], wanted: Sequence[Portion]
) -> tuple[ReturnedLine, ...]:
    """The units wanted, at the prices at which they were bought. back: units by number that some
    return has."""
    _refuse_more_than_is_left(bought, back, wanted, kind="line")
    return tuple(_line(bought[portion.number - 1], portion) for portion in wanted)


def charges(
    charged: Sequence[Charge], back: Mapping[int, int], wanted: Sequence[Portion]
) -> tuple[ReturnedCharge, ...]:
    _refuse_more_than_is_left(charged, back, wanted, kind="charge")
    return tuple(_charge(charged[portion.number - 1], portion) for portion in wanted)


def sort_out(
    announced: Sequence[ReturnedLine], came: Iterable[Portion]
) -> tuple[tuple[ReturnedLine, ...], tuple[Portion, ...]]:
    """What came, at the prices announced, and what is missing."""
    counted = units(came)
    here, missing = [], []
    for line in announced:
        quantity = min(line.quantity, counted[line.number])
        counted[line.number] -= quantity
        if quantity:
            here.append(replace(line, quantity=quantity))
        if quantity < line.quantity:
            missing.append(Portion(line.number, line.quantity - quantity))
    if extra := +counted:
        raise MoreThanWasAnnounced(
            f"{extra[min(extra)]} more of line {min(extra)} than are awaited."
        )
    return tuple(here), tuple(missing)


def units(portions: Iterable[Portion]) -> Counter[int]:
    """By the number of their line; equal for the same goods, however they are listed."""
    found: Counter[int] = Counter()
    for portion in portions:
        found[portion.number] += portion.quantity
    return found


def without(announced: Sequence[ReturnedLine], gone: Iterable[Portion]) -> tuple[ReturnedLine, ...]:
    """What of the lines remains; more than there is takes nothing else away."""
    taken = units(gone)
    remaining = []
    for line in announced:
        quantity = min(line.quantity, taken[line.number])
        taken[line.number] -= quantity
        if quantity < line.quantity:
            remaining.append(replace(line, quantity=line.quantity - quantity))
    return tuple(remaining)


def left(bought: Sequence[OrderLine | Charge], back: Mapping[int, int]) -> dict[int, int]:
    """Units by number, of all that was bought, that no return has yet."""
    return {
        number: part.quantity - back.get(number, 0) for number, part in enumerate(bought, start=1)
    }


def of(parts: Iterable[ReturnedLine | ReturnedCharge]) -> tuple[Portion, ...]:
    return tuple(Portion(part.number, part.quantity) for part in parts)


def value(parts: Iterable[OrderLine | Charge | ReturnedLine | ReturnedCharge]) -> int:
    """What goods and charges come to, in the unit of their prices."""
    return sum(part.quantity * part.unit_price for part in parts)


def _refuse_more_than_is_left(
    bought: Sequence[OrderLine | Charge],
    back: Mapping[int, int],
    wanted: Iterable[Portion],
    *,
    kind: str,
) -> None:
    available = left(bought, back)
    for number, quantity in units(wanted).items():
        if number not in available:
            raise NotOnTheOrder(f"There is no {kind} {number} on the order.")
        if quantity > available[number]:
            raise MoreThanWasBought(
                f"Of {kind} {number}, {available[number]} can be returned, not {quantity}."
            )


def _line(bought: OrderLine, portion: Portion) -> ReturnedLine:
    return ReturnedLine(portion.number, bought.sku, portion.quantity, bought.unit_price)


def _charge(charged: Charge, portion: Portion) -> ReturnedCharge:
    return ReturnedCharge(portion.number, charged.code, portion.quantity, charged.unit_price)
