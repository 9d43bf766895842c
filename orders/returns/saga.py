"""The saga of a return: its goods arrive, go on the shelf, are paid back; what never comes is
closed in the end.

One conductor in either form of the order's process: a return begins when that is over, and what
cannot be paid back needs a person's eyes, for which there must be one place to look.
"""

from datetime import timedelta

from eventstore.messages import (
    Command,
    CommandRefused,
    DeadlinePassed,
    Event,
    Intervened,
    State,
    replace,
)
from eventstore.money import Money
from eventstore.subscriptions import Reaction, Saga
from inventory.commands import Restock, StockLine
from inventory.events import GoodsRestocked
from orders.commands import CloseReturn, CompleteReturn
from orders.events import GoodsReturned, ReturnClosed, ReturnCompleted, ReturnRequested
from payments.commands import RefundPart
from payments.events import PartRefunded, PartRefundLapsed

# How long a customer has to send the goods.
GOODS_PATIENCE = timedelta(days=30)
# Longer than the gateway's own tries take, so that a deadline says that something is wrong, not
# slow.
PATIENCE = timedelta(minutes=15)
ASKED_AGAIN = 3


class Returning(State, frozen=True):
    """reason: of the return. step: the one that needs attention. note: why, or why goods or money
    are given up.

    asked_again: how often the present step was.
    """

    status: str = "STARTED"
    return_id: str = ""
    order_id: str = ""
    lines: tuple[StockLine, ...] = ()
    refund: Money = Money(0, "XXX")
    reason: str = ""
    step: str = ""
    note: str = ""
    asked_again: int = 0


# Forward: each step begins when the one before has answered, and an answer out of its turn changes
# nothing.


def return_requested(saga: Returning, event: ReturnRequested) -> Reaction:
    begun = replace(
        saga,
        return_id=event.return_id,
        order_id=event.order_id,
        refund=event.refund,
        reason=event.reason,
    )
    if event.lines:
        return Reaction(replace(begun, status="GOODS_PENDING"), deadline=GOODS_PATIENCE)
    return _refund(begun)


def goods_returned(saga: Returning, event: GoodsReturned) -> Reaction:
    lines = tuple(StockLine(line.sku, line.quantity) for line in event.lines)
    return _step(replace(saga, lines=lines, refund=event.refund), "RESTOCKING")


def goods_restocked(saga: Returning, event: GoodsRestocked) -> Reaction:
    return _refund(saga) if _at(saga) == "RESTOCKING" else _waiting(saga)


def part_refunded(saga: Returning, event: PartRefunded) -> Reaction:
    return _step(saga, "COMPLETING") if _at(saga) == "REFUNDING" else _waiting(saga)


def return_completed(saga: Returning, event: ReturnCompleted) -> Reaction:
    return Reaction(replace(saga, status="COMPLETED"))


def _refund(saga: Returning) -> Reaction:
    """What cost nothing is not paid back."""
    return _step(saga, "REFUNDING" if saga.refund.amount else "COMPLETING")


def _step(saga: Returning, status: str) -> Reaction:
    return _ask(replace(saga, status=status, step="", asked_again=0))


# Nothing comes of it, or something stands in the way.


def return_closed(saga: Returning, event: ReturnClosed) -> Reaction:
    return Reaction(replace(saga, status="CLOSED", note=event.reason))


def refund_lapsed(saga: Returning, event: PartRefundLapsed) -> Reaction:
    return _call_for_attention(saga, event.reason) if _at(saga) == "REFUNDING" else _waiting(saga)


def command_refused(saga: Returning, event: CommandRefused) -> Reaction:
    """Goods that arrived just before they were given up are heard of too, and go on from there.
    Where the whole payment of the order goes back, the return has nothing left to pay."""
    if event.command == "orders.close_return":
        return _waiting(saga)
    if event.command == "payments.refund_part" and event.code == "NothingLeftToRefund":
        return _nothing_left_to_pay(saga) if _at(saga) == "REFUNDING" else _waiting(saga)
    return _call_for_attention(saga, f"{event.command} was refused: {event.code}")


def _nothing_left_to_pay(saga: Returning) -> Reaction:
    return _step(
        replace(saga, note="nothing left to pay: the whole payment goes back"), "COMPLETING"
    )


def _call_for_attention(saga: Returning, note: str) -> Reaction:
    return Reaction(replace(saga, status="NEEDS_ATTENTION", step=_at(saga), note=note))


# Waiting: what is owed at present, how long for, and what a person may do about it.


def deadline_passed(saga: Returning, event: DeadlinePassed) -> Reaction:
    if saga.status == "GOODS_PENDING":
        return _step(replace(saga, note="the goods did not come"), "CLOSING")
    if _outgoing(saga) is None:
        return Reaction(saga)
    if saga.asked_again < ASKED_AGAIN:
        return _ask(replace(saga, asked_again=saga.asked_again + 1))
    return _call_for_attention(saga, f"no answer: {saga.status}")


def intervened(saga: Returning, event: Intervened) -> Reaction:
    """A person asks again, gives up goods that do not come, or takes the present step as done by
    other means."""
    note = f"by {event.who}: {event.reason}"
    if event.action == "retry" and _outgoing(saga):
        return _ask(replace(saga, status=_at(saga), step="", asked_again=saga.asked_again + 1))
    if event.action == "compensate" and saga.status == "GOODS_PENDING":
        return _step(replace(saga, note=note), "CLOSING")
    if event.action == "skip":
        match _at(saga):
            case "RESTOCKING":
                return _refund(replace(saga, note=note))
            case "REFUNDING":
                return _step(replace(saga, note=note), "COMPLETING")
    return _waiting(saga)


def _outgoing(saga: Returning) -> Command | None:
    """The command whose answer the saga waits for."""
    match _at(saga):
        case "RESTOCKING":
            return Restock(saga.return_id, saga.lines, saga.order_id)
        case "REFUNDING":
            return RefundPart(saga.order_id, saga.return_id, saga.refund, f"return: {saga.reason}")
        case "COMPLETING":
            return CompleteReturn(saga.return_id)
        case "CLOSING":
            return CloseReturn(saga.return_id, saga.order_id, saga.note)
    return None


def _at(saga: Returning) -> str:
    return saga.step or saga.status


def _ask(saga: Returning) -> Reaction:
    command = _outgoing(saga)
    return Reaction(saga, [command] if command else [], deadline=PATIENCE)


def _waiting(saga: Returning) -> Reaction:
    """Nothing changes, and the deadline stays as it is."""
    return Reaction(saga)


def return_of(event: Event) -> str:
    """Payments know a return as what their part is for."""
    return str(getattr(event, "refund_id", "") or getattr(event, "return_id", ""))


RETURNING = Saga(
    initial=Returning(),
    key=return_of,
    react={
        ReturnRequested: return_requested,
        GoodsReturned: goods_returned,
        GoodsRestocked: goods_restocked,
        PartRefunded: part_refunded,
        ReturnCompleted: return_completed,
        ReturnClosed: return_closed,
        PartRefundLapsed: refund_lapsed,
        CommandRefused: command_refused,
        DeadlinePassed: deadline_passed,
        Intervened: intervened,
    },
)
