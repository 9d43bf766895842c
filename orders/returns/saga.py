"""The saga of a return: wait for the goods, restock them, refund them. A return whose goods do not
arrive is closed.

Returns are orchestrated by this saga, also where orders are choreographed: a return begins when the
order's process is over, and an operator needs one place to look for a refund that failed.
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
from eventstore.sagas.attention import NEEDS_ATTENTION
from eventstore.subscriptions import Reaction, Saga
from inventory.commands import Restock, StockLine
from inventory.events import GoodsRestocked
from orders.commands import CloseReturn, CompleteReturn
from orders.events import GoodsReturned, ReturnClosed, ReturnCompleted, ReturnRequested
from payments.commands import RefundPart
from payments.events import PartRefunded, PartRefundLapsed

# How long a customer has to send the goods.
GOODS_PATIENCE = timedelta(days=30)
# Longer than all tries of a gateway, so that a passed deadline means broken and not slow.
PATIENCE = timedelta(minutes=15)
RETRIES = 3


class Returning(State, frozen=True):
    """reason: of the return. step: the step that needs attention. note: why it does, or why the
    return does without goods or money.

    asked_again: retries of the present step. settled: the money was given back elsewhere.
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
    settled: bool = False


# The way forward: each step begins when the one before has answered. An answer to any other step
# changes nothing.


def return_requested(saga: Returning, event: ReturnRequested) -> Reaction:
    started = replace(
        saga,
        return_id=event.return_id,
        order_id=event.order_id,
        refund=event.refund,
        reason=event.reason,
        settled=event.settled,
    )
    if event.lines:
        return Reaction(replace(started, status="GOODS_PENDING"), deadline=GOODS_PATIENCE)
    return _refund(started)


def goods_returned(saga: Returning, event: GoodsReturned) -> Reaction:
    lines = tuple(StockLine(line.sku, line.quantity) for line in event.lines)
    return _begin(replace(saga, lines=lines, refund=event.refund), "RESTOCKING")


def goods_restocked(saga: Returning, event: GoodsRestocked) -> Reaction:
    return _refund(saga) if _current_step(saga) == "RESTOCKING" else _wait(saga)


def part_refunded(saga: Returning, event: PartRefunded) -> Reaction:
    return _begin(saga, "COMPLETING") if _current_step(saga) == "REFUNDING" else _wait(saga)


def return_completed(saga: Returning, event: ReturnCompleted) -> Reaction:
    return Reaction(replace(saga, status="COMPLETED"))


def _refund(saga: Returning) -> Reaction:
    """Goods that cost nothing need no refund."""
    return _begin(saga, "REFUNDING" if saga.refund.amount else "COMPLETING")


def _begin(saga: Returning, status: str) -> Reaction:
    return _send(replace(saga, status=status, step="", asked_again=0))


# No goods, no refund, or a refused command.


def return_closed(saga: Returning, event: ReturnClosed) -> Reaction:
    return Reaction(replace(saga, status="CLOSED", note=event.reason))


def refund_lapsed(saga: Returning, event: PartRefundLapsed) -> Reaction:
    return _halt(saga, event.reason) if _current_step(saga) == "REFUNDING" else _wait(saga)


def command_refused(saga: Returning, event: CommandRefused) -> Reaction:
    """A return whose goods arrive just before it is closed goes on from there. Where the whole
    payment
    of the order is refunded, the return has nothing left to refund."""
    if event.command == "orders.close_return":
        return _wait(saga)
    if event.command == "payments.refund_part" and event.code == "NothingLeftToRefund":
        if _current_step(saga) != "REFUNDING":
            return _wait(saga)
        note = "nothing left to pay: the whole payment goes back"
        return _begin(replace(saga, note=note), "COMPLETING")
    return _halt(saga, f"{event.command} was refused: {event.code}")


def _halt(saga: Returning, note: str) -> Reaction:
    return Reaction(replace(saga, status=NEEDS_ATTENTION, step=_current_step(saga), note=note))


# Waiting: the pending command, its deadline, and what an operator may do about it.


def deadline_passed(saga: Returning, event: DeadlinePassed) -> Reaction:
    if saga.status == "GOODS_PENDING":
        return _begin(replace(saga, note="the goods did not come"), "CLOSING")
    if _pending_command(saga) is None:
        return Reaction(saga)
    if saga.asked_again < RETRIES:
        return _send(replace(saga, asked_again=saga.asked_again + 1))
    return _halt(saga, f"no answer: {saga.status}")


def intervened(saga: Returning, event: Intervened) -> Reaction:
    """An operator retries the pending command, gives up goods that do not arrive (compensate), or
    counts the present step as done by other means (skip)."""
    note = f"by {event.who}: {event.reason}"
    if event.action == "retry" and _pending_command(saga):
        again = replace(saga, status=_current_step(saga), step="", asked_again=saga.asked_again + 1)
        return _send(again)
    if event.action == "compensate" and saga.status == "GOODS_PENDING":
        return _begin(replace(saga, note=note), "CLOSING")
    if event.action == "skip":
        match _current_step(saga):
            case "RESTOCKING":
                return _refund(replace(saga, note=note))
            case "REFUNDING":
                return _begin(replace(saga, note=note), "COMPLETING")
    return _wait(saga)


def _pending_command(saga: Returning) -> Command | None:
    """The command that the saga waits for an answer to."""
    match _current_step(saga):
        case "RESTOCKING":
            return Restock(saga.return_id, saga.lines, saga.order_id)
        case "REFUNDING":
            reason = f"return: {saga.reason}"
            return RefundPart(saga.order_id, saga.return_id, saga.refund, reason, saga.settled)
        case "COMPLETING":
            return CompleteReturn(saga.return_id)
        case "CLOSING":
            return CloseReturn(saga.return_id, saga.order_id, saga.note)
    return None


def _current_step(saga: Returning) -> str:
    return saga.step or saga.status


def _send(saga: Returning) -> Reaction:
    command = _pending_command(saga)
    return Reaction(saga, [command] if command else [], deadline=PATIENCE)


def _wait(saga: Returning) -> Reaction:
    """Nothing changes; the deadline stays as it is."""
    return Reaction(saga)


def return_of(event: Event) -> str:
    """The events of payments name the return in refund_id."""
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
