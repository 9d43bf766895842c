"""A return: decided together with its order, so that no unit comes back twice and none that was not bought."""

from collections.abc import Mapping, Sequence
from typing import Any

from eventstore.aggregate import Aggregate, Decided, Decision, Refusal, stream_name
from eventstore.messages import Event, State, replace
from eventstore.money import Money

from . import portions
from .commands import CloseReturn, CompleteReturn, ImportReturn, ReceiveReturn, RequestReturn
from .events import (
    GoodsReturned,
    ReturnClosed,
    ReturnCompleted,
    ReturnedCharge,
    ReturnedLine,
    ReturnForgone,
    ReturnPromised,
    ReturnRequested,
)
from .order import ORDER, Order, OrderNotFound


class OrderNotConfirmed(Refusal):
    """Only what is paid and on its way can come back; before that, an order is cancelled."""


class EmptyReturn(Refusal):
    """A return has at least one line or charge."""


class ReturnNotFound(Refusal):
    """No return of this id has been requested for the order."""


class ReturnNotOpen(Refusal):
    """Its goods have come already, or are not waited for."""


class Return(State, frozen=True):
    """status: new, requested, received, completed or closed. refund: tells the unit of all prices."""

    status: str = "new"
    order_id: str = ""
    customer_id: str = ""
    lines: tuple[ReturnedLine, ...] = ()
    charges: tuple[ReturnedCharge, ...] = ()
    refund: Money = Money(0, "XXX")


def streams(command: RequestReturn | ImportReturn | ReceiveReturn | CloseReturn) -> Sequence[str]:
    return [stream_name(RETURN.category, command.return_id), stream_name(ORDER.category, command.order_id)]


def request(states: Mapping[str, Any], command: RequestReturn) -> Decided:
    own, its_order = streams(command)
    order = _placed(states[its_order], command.order_id)
    if order.status != "confirmed":
        raise OrderNotConfirmed(f"{command.order_id} is {order.status}.")
    if not command.lines and not command.charges:
        raise EmptyReturn(command.order_id)
    if states[own].status != "new":
        return {}
    lines = portions.lines(order.lines, order.lines_back, command.lines)
    charges = portions.charges(order.charges, order.charges_back, command.charges)
    requested = ReturnRequested(
        return_id=command.return_id,
        order_id=command.order_id,
        customer_id=order.customer_id,
        lines=lines,
        charges=charges,
        refund=order.total.of(portions.value(lines) + portions.value(charges)),
        reason=command.reason,
        requested_at=command.requested_at,
    )
    promised = ReturnPromised(command.order_id, command.return_id, command.lines, command.charges)
    return {own: [requested], its_order: [promised]}


def import_(states: Mapping[str, Any], command: ImportReturn) -> Decided:
    own, its_order = streams(command)
    order = _placed(states[its_order], command.order_id)
    if states[own].status != "new":
        return {}
    lines = portions.lines(order.lines, order.lines_back, command.lines)
    requested = ReturnRequested(
        return_id=command.return_id,
        order_id=command.order_id,
        customer_id=order.customer_id,
        lines=lines,
        charges=(),
        refund=order.total.of(portions.value(lines)),
        reason=command.reason,
        requested_at=command.returned_at,
        reference=command.reference,
    )
    returned = GoodsReturned(command.return_id, command.order_id, lines, requested.refund, command.returned_at)
    return {
        own: [requested, returned],
        its_order: [ReturnPromised(command.order_id, command.return_id, command.lines, ())],
    }


def receive(states: Mapping[str, Any], command: ReceiveReturn) -> Decided:
    own, its_order = streams(command)
    waiting = _requested(states[own], command)
    if waiting.status in ("received", "completed") and waiting.lines:
        return {}
    _refuse_if_no_goods_are_awaited(waiting, command.return_id)
    came, missing = portions.sort_out(waiting.lines, command.lines or portions.of(waiting.lines))
    refund = waiting.refund.of(portions.value(came) + portions.value(waiting.charges))
    returned = GoodsReturned(command.return_id, command.order_id, came, refund, command.received_at)
    forgone = [ReturnForgone(command.order_id, command.return_id, missing, ())] if missing else []
    return {own: [returned], its_order: forgone}


def close(states: Mapping[str, Any], command: CloseReturn) -> Decided:
    own, its_order = streams(command)
    waiting = _requested(states[own], command)
    if waiting.status == "closed":
        return {}
    _refuse_if_no_goods_are_awaited(waiting, command.return_id)
    lines, charges = portions.of(waiting.lines), portions.of(waiting.charges)
    return {
        own: [ReturnClosed(command.return_id, command.order_id, command.reason)],
        its_order: [ReturnForgone(command.order_id, command.return_id, lines, charges)],
    }


def complete(settled: Return, command: CompleteReturn) -> list[Event]:
    if settled.status == "new":
        raise ReturnNotFound(command.return_id)
    if settled.status == "closed":
        raise ReturnNotOpen(f"{command.return_id} is closed.")
    if settled.status == "completed":
        return []
    return [ReturnCompleted(command.return_id, settled.order_id)]


def _placed(order: Order, order_id: str) -> Order:
    if order.status == "new":
        raise OrderNotFound(order_id)
    return order


def _requested(waiting: Return, command: ReceiveReturn | CloseReturn) -> Return:
    if waiting.status == "new" or waiting.order_id != command.order_id:
        raise ReturnNotFound(command.return_id)
    return waiting


def _refuse_if_no_goods_are_awaited(waiting: Return, return_id: str) -> None:
    if waiting.status != "requested" or not waiting.lines:
        raise ReturnNotOpen(f"{return_id} is {waiting.status}, and no goods are awaited for it.")


def requested(waiting: Return, event: ReturnRequested) -> Return:
    return Return("requested", event.order_id, event.customer_id, event.lines, event.charges, event.refund)


RETURN = Aggregate(
    category="return",
    identity="return_id",
    initial=Return(),
    decide={
        CompleteReturn: complete,
    },
    evolve={
        ReturnRequested: requested,
        GoodsReturned: lambda waiting, event: replace(waiting, status="received", lines=event.lines),
        ReturnCompleted: lambda settled, event: replace(settled, status="completed"),
        ReturnClosed: lambda waiting, event: replace(waiting, status="closed"),
    },
)

DECISIONS = {
    RequestReturn: Decision(streams, request),
    ImportReturn: Decision(streams, import_),
    ReceiveReturn: Decision(streams, receive),
    CloseReturn: Decision(streams, close),
}
