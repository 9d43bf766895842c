"""A return: decided together with its order, so that no unit comes back twice and none that was not
bought."""

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from eventstore.aggregate import Aggregate, CommandRejected, Decision, EventsByStream, stream_name
from eventstore.messages import Command, Event, State, replace
from eventstore.money import Money
from orders.commands import CloseReturn, CompleteReturn, ImportReturn, ReceiveReturn, RequestReturn
from orders.events import (
    GoodsReturned,
    Portion,
    ReturnClosed,
    ReturnCompleted,
    ReturnContinued,
    ReturnedCharge,
    ReturnedLine,
    ReturnForgone,
    ReturnPromised,
    ReturnRequested,
)
from orders.order.aggregate import ORDER, Order, OrderNotFound
from orders.order.place_order import anything
from orders.returns import quantities as portions


class OrderNotConfirmed(CommandRejected):
    """Only what is paid and on its way can come back; before that, an order is cancelled."""


class EmptyReturn(CommandRejected):
    """A return has at least one line or charge."""


class NotRefundable(CommandRejected):
    """The payment provider cannot give back this amount; return other goods together with these."""


class ReturnNotFound(CommandRejected):
    """No return of this id has been requested for the order."""


class ReturnNotOpen(CommandRejected):
    """Its goods have come already, or are not waited for."""


class PerhapsTheSameParcel(CommandRejected):
    """Goods like these have come for this return before; if this is another parcel, give it a name
    (delivery)."""


class ReturnIsAnother(CommandRejected):
    """A return of this id is there, of other goods or of another order."""


class Return(State, frozen=True):
    """status: new, requested, received, completed or closed. refund: tells the unit of all prices.

    announced: as it was requested. lines: the same, then what came first, by the parcel called
    delivery. awaited: what has not come yet.
    """

    status: str = "new"
    order_id: str = ""
    customer_id: str = ""
    lines: tuple[ReturnedLine, ...] = ()
    charges: tuple[ReturnedCharge, ...] = ()
    refund: Money = Money(0, "XXX")
    reason: str = ""
    announced: tuple[Portion, ...] = ()
    awaited: tuple[ReturnedLine, ...] = ()
    delivery: str = ""


def streams(command: RequestReturn | ImportReturn | ReceiveReturn | CloseReturn) -> Sequence[str]:
    return [
        stream_name(RETURN.category, command.return_id),
        stream_name(ORDER.category, command.order_id),
    ]


def streams_of_arrival(command: ReceiveReturn) -> Sequence[str]:
    return [*streams(command), stream_name(RETURN.category, late_id(command))]


def late_id(command: ReceiveReturn) -> str:
    """What the return is called that these goods are, when others of the return have come before:
    the same for the same parcel."""
    counted = sorted(portions.units(command.lines).items())
    return (
        f"{command.return_id}.{sha256(repr((command.delivery, counted)).encode()).hexdigest()[:12]}"
    )


def request(states: Mapping[str, Any], command: RequestReturn) -> EventsByStream:
    own, its_order = streams(command)
    order = _placed(states[its_order], command.order_id)
    if order.status != "confirmed":
        raise OrderNotConfirmed(f"{command.order_id} is {order.status}.")
    if not command.lines and not command.charges:
        raise EmptyReturn(command.order_id)
    if _is_repeat(states[own], command, command.charges):
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


def import_(states: Mapping[str, Any], command: ImportReturn) -> EventsByStream:
    own, its_order = streams(command)
    order = _placed(states[its_order], command.order_id)
    if _is_repeat(states[own], command, ()):
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
    returned = GoodsReturned(
        command.return_id, command.order_id, lines, requested.refund, command.returned_at
    )
    return {
        own: [requested, returned],
        its_order: [ReturnPromised(command.order_id, command.return_id, command.lines, ())],
    }


def receive(states: Mapping[str, Any], command: ReceiveReturn) -> EventsByStream:
    own, its_order, late = streams_of_arrival(command)
    waiting = _requested(states[own], command)
    if waiting.status == "closed" or not waiting.lines:
        raise _not_open(waiting, command.return_id)
    if waiting.status != "requested":
        if states[late].status != "new" or _has_come(waiting, command):
            _refuse_if_more_may_have_come(waiting, command)
            return {}
        return _later(waiting, _placed(states[its_order], command.order_id), command)
    came, missing = portions.sort_out(
        waiting.awaited, command.lines or portions.of(waiting.awaited)
    )
    refund = waiting.refund.of(portions.value(came) + portions.value(waiting.charges))
    returned = GoodsReturned(
        command.return_id, command.order_id, came, refund, command.received_at, command.delivery
    )
    forgone = [ReturnForgone(command.order_id, command.return_id, missing, ())] if missing else []
    return {own: [returned], its_order: forgone}


def _has_come(waiting: Return, command: ReceiveReturn) -> bool:
    """Whether these are the goods that came first, told once more, or the rest where there is
    none."""
    if not command.lines:
        return not waiting.awaited
    first = waiting.delivery, portions.units(portions.of(waiting.lines))
    return first == (command.delivery, portions.units(command.lines))


def _refuse_if_more_may_have_come(waiting: Return, command: ReceiveReturn) -> None:
    """Without a name, one parcel told twice is as two of equal contents, where as much is still
    awaited."""
    awaited = portions.units(portions.of(waiting.awaited))
    if command.lines and not command.delivery and portions.units(command.lines) <= awaited:
        raise PerhapsTheSameParcel(command.return_id)


def _later(waiting: Return, order: Order, command: ReceiveReturn) -> EventsByStream:
    """Part of the return has been paid back, or is being: what comes now is a return of its own,
    received at once."""
    came, _ = portions.sort_out(waiting.awaited, command.lines or portions.of(waiting.awaited))
    units, late = portions.of(came), late_id(command)
    lines = portions.lines(order.lines, order.lines_back, units)
    requested = ReturnRequested(
        return_id=late,
        order_id=command.order_id,
        customer_id=waiting.customer_id,
        lines=lines,
        charges=(),
        refund=waiting.refund.of(portions.value(lines)),
        reason=waiting.reason,
        requested_at=command.received_at,
        reference=command.return_id,
    )
    returned = GoodsReturned(
        late, command.order_id, lines, requested.refund, command.received_at, command.delivery
    )
    own, its_order, its_own = streams_of_arrival(command)
    return {
        own: [ReturnContinued(command.return_id, command.order_id, late, units)],
        its_own: [requested, returned],
        its_order: [ReturnPromised(command.order_id, late, units, ())],
    }


def close(states: Mapping[str, Any], command: CloseReturn) -> EventsByStream:
    own, its_order = streams(command)
    waiting = _requested(states[own], command)
    if waiting.status == "closed":
        return {}
    if waiting.status != "requested" or not waiting.lines:
        raise _not_open(waiting, command.return_id)
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


def _is_repeat(
    known: Return, command: RequestReturn | ImportReturn, charges: Sequence[Portion]
) -> bool:
    if known.status == "new":
        return False
    there = (
        known.order_id,
        portions.units(known.announced),
        portions.units(portions.of(known.charges)),
    )
    if there != (command.order_id, portions.units(command.lines), portions.units(charges)):
        raise ReturnIsAnother(command.return_id)
    return True


def _not_open(waiting: Return, return_id: str) -> ReturnNotOpen:
    return ReturnNotOpen(f"{return_id} is {waiting.status}, and no goods are awaited for it.")


def requested(waiting: Return, event: ReturnRequested) -> Return:
    return Return(
        status="requested",
        order_id=event.order_id,
        customer_id=event.customer_id,
        lines=event.lines,
        charges=event.charges,
        refund=event.refund,
        reason=event.reason,
        announced=portions.of(event.lines),
        awaited=event.lines,
    )


def returned(waiting: Return, event: GoodsReturned) -> Return:
    awaited = portions.without(waiting.awaited, portions.of(event.lines))
    return replace(
        waiting, status="received", lines=event.lines, awaited=awaited, delivery=event.delivery
    )


def continued(waiting: Return, event: ReturnContinued) -> Return:
    return replace(waiting, awaited=portions.without(waiting.awaited, event.lines))


RETURN = Aggregate(
    category="return",
    identity="return_id",
    initial=Return(),
    decide={
        CompleteReturn: complete,
    },
    evolve={
        ReturnRequested: requested,
        GoodsReturned: returned,
        ReturnContinued: continued,
        ReturnCompleted: lambda settled, event: replace(settled, status="completed"),
        ReturnClosed: lambda waiting, event: replace(waiting, status="closed", awaited=()),
    },
)


def decisions(refundable: Callable[[Money], str]) -> Mapping[type[Command], Decision]:
    """refundable: why the payment provider cannot give back an amount; nothing, if it can. Of goods
    that have come in other numbers than announced, payments decide: they are in the house, whatever
    they are worth."""

    def request_refundable(states: Mapping[str, Any], command: RequestReturn) -> EventsByStream:
        decided = request(states, command)
        for event in decided.get(streams(command)[0], ()):
            if (
                isinstance(event, ReturnRequested)
                and event.refund.amount
                and (why := refundable(event.refund))
            ):
                raise NotRefundable(why)
        return decided

    return {
        RequestReturn: Decision(streams, request_refundable),
        ImportReturn: Decision(streams, import_),
        ReceiveReturn: Decision(streams_of_arrival, receive),
        CloseReturn: Decision(streams, close),
    }


DECISIONS = decisions(anything)
