"""A return: decided together with its order, so that every unit that comes back was bought, and
comes back once."""

from collections.abc import Mapping, Sequence
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
from orders.order.aggregate import ORDER, Limit, Order, OrderNotFound
from orders.returns import quantities


class OrderNotConfirmed(CommandRejected):
    """Only a confirmed order can be returned; cancel an order that is not confirmed yet."""


class EmptyReturn(CommandRejected):
    """A return needs at least one line or charge."""


class NotRefundable(CommandRejected):
    """The payment provider cannot refund this amount; return other goods together with these."""


class ReturnNotFound(CommandRejected):
    """The order has no return with this id."""


class ReturnNotOpen(CommandRejected):
    """The return does not await goods."""


class PerhapsTheSameParcel(CommandRejected):
    """The same goods have been received for this return before. If this is another parcel, name it
    (delivery)."""


class ReturnIsAnother(CommandRejected):
    """A return with this id exists already, of other goods or of another order."""


class Return(State, frozen=True):
    """status: new, requested, received, completed or closed. refund: in the unit of all prices.

    announced: the units requested. lines: the goods requested, then the goods of the first parcel.
    delivery: the name of that parcel. awaited: the goods that have not arrived.
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
    """The id of the return that a later parcel becomes: the same for each repeat of the command."""
    counted = sorted(quantities.count(command.lines).items())
    digest = sha256(repr((command.delivery, counted)).encode()).hexdigest()
    return f"{command.return_id}.{digest[:12]}"


def request(states: Mapping[str, Any], command: RequestReturn) -> EventsByStream:
    own, its_order = streams(command)
    order = _require_placed(states[its_order], command.order_id)
    if order.status != "confirmed":
        raise OrderNotConfirmed(f"Order {command.order_id} is {order.status}.")
    if not command.lines and not command.charges:
        raise EmptyReturn(command.order_id)
    if _is_repeat(states[own], command, command.charges):
        return {}
    lines = quantities.price_lines(order.lines, order.lines_back, command.lines)
    charges = quantities.price_charges(order.charges, order.charges_back, command.charges)
    requested = ReturnRequested(
        return_id=command.return_id,
        order_id=command.order_id,
        customer_id=order.customer_id,
        lines=lines,
        charges=charges,
        refund=order.total.of(quantities.total(lines) + quantities.total(charges)),
        reason=command.reason,
        requested_at=command.requested_at,
    )
    promised = ReturnPromised(command.order_id, command.return_id, command.lines, command.charges)
    return {own: [requested], its_order: [promised]}


def import_(states: Mapping[str, Any], command: ImportReturn) -> EventsByStream:
    own, its_order = streams(command)
    order = _require_placed(states[its_order], command.order_id)
    if _is_repeat(states[own], command, ()):
        return {}
    lines = quantities.price_lines(order.lines, order.lines_back, command.lines)
    requested = ReturnRequested(
        return_id=command.return_id,
        order_id=command.order_id,
        customer_id=order.customer_id,
        lines=lines,
        charges=(),
        refund=order.total.of(quantities.total(lines)),
        reason=command.reason,
        requested_at=command.returned_at,
        reference=command.reference,
        settled=True,
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
    waiting = _require_requested(states[own], command)
    if waiting.status == "closed" or not waiting.lines:
        raise _not_open(waiting, command.return_id)
    if waiting.status != "requested":
        if states[late].status != "new" or _has_come(waiting, command):
            # Without a parcel's name, a repeat cannot be told from a second parcel with the same
            # contents, as long as that much is awaited.
            units = quantities.count(command.lines)
            awaited = quantities.count(quantities.portions(waiting.awaited))
            if command.lines and not command.delivery and units <= awaited:
                raise PerhapsTheSameParcel(command.return_id)
            return {}
        return _receive_later(
            waiting, _require_placed(states[its_order], command.order_id), command
        )
    came, missing = quantities.split(
        waiting.awaited, command.lines or quantities.portions(waiting.awaited)
    )
    refund = waiting.refund.of(quantities.total(came) + quantities.total(waiting.charges))
    returned = GoodsReturned(
        command.return_id, command.order_id, came, refund, command.received_at, command.delivery
    )
    forgone = [ReturnForgone(command.order_id, command.return_id, missing, ())] if missing else []
    return {own: [returned], its_order: forgone}


def _has_come(waiting: Return, command: ReceiveReturn) -> bool:
    """Whether the command repeats the arrival of the first parcel, or names no goods where none are
    awaited."""
    if not command.lines:
        return not waiting.awaited
    first = waiting.delivery, quantities.count(quantities.portions(waiting.lines))
    return first == (command.delivery, quantities.count(command.lines))


def _receive_later(waiting: Return, order: Order, command: ReceiveReturn) -> EventsByStream:
    """The first parcel is being refunded, or has been. The goods of a later one become a return of
    their own, requested and received at once."""
    came, _ = quantities.split(
        waiting.awaited, command.lines or quantities.portions(waiting.awaited)
    )
    units, late = quantities.portions(came), late_id(command)
    lines = quantities.price_lines(order.lines, order.lines_back, units)
    requested = ReturnRequested(
        return_id=late,
        order_id=command.order_id,
        customer_id=waiting.customer_id,
        lines=lines,
        charges=(),
        refund=waiting.refund.of(quantities.total(lines)),
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
    waiting = _require_requested(states[own], command)
    if waiting.status == "closed":
        return {}
    if waiting.status != "requested" or not waiting.lines:
        raise _not_open(waiting, command.return_id)
    lines, charges = quantities.portions(waiting.lines), quantities.portions(waiting.charges)
    return {
        own: [ReturnClosed(command.return_id, command.order_id, command.reason)],
        its_order: [ReturnForgone(command.order_id, command.return_id, lines, charges)],
    }


def complete(received: Return, command: CompleteReturn) -> list[Event]:
    if received.status == "new":
        raise ReturnNotFound(command.return_id)
    if received.status == "closed":
        raise ReturnNotOpen(f"Return {command.return_id} is closed.")
    if received.status == "completed":
        return []
    return [ReturnCompleted(command.return_id, received.order_id)]


def _require_placed(order: Order, order_id: str) -> Order:
    if order.status == "new":
        raise OrderNotFound(order_id)
    return order


def _require_requested(waiting: Return, command: ReceiveReturn | CloseReturn) -> Return:
    if waiting.status == "new" or waiting.order_id != command.order_id:
        raise ReturnNotFound(command.return_id)
    return waiting


def _is_repeat(
    known: Return, command: RequestReturn | ImportReturn, charges: Sequence[Portion]
) -> bool:
    if known.status == "new":
        return False
    recorded = (
        known.order_id,
        quantities.count(known.announced),
        quantities.count(quantities.portions(known.charges)),
    )
    if recorded != (command.order_id, quantities.count(command.lines), quantities.count(charges)):
        raise ReturnIsAnother(command.return_id)
    return True


def _not_open(waiting: Return, return_id: str) -> ReturnNotOpen:
    return ReturnNotOpen(f"Return {return_id} is {waiting.status}.")


def requested(waiting: Return, event: ReturnRequested) -> Return:
    return Return(
        status="requested",
        order_id=event.order_id,
        customer_id=event.customer_id,
        lines=event.lines,
        charges=event.charges,
        refund=event.refund,
        reason=event.reason,
        announced=quantities.portions(event.lines),
        awaited=event.lines,
    )


def returned(waiting: Return, event: GoodsReturned) -> Return:
    awaited = quantities.subtract(waiting.awaited, quantities.portions(event.lines))
    return replace(
        waiting, status="received", lines=event.lines, awaited=awaited, delivery=event.delivery
    )


def continued(waiting: Return, event: ReturnContinued) -> Return:
    return replace(waiting, awaited=quantities.subtract(waiting.awaited, event.lines))


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
        ReturnCompleted: lambda received, event: replace(received, status="completed"),
        ReturnClosed: lambda waiting, event: replace(waiting, status="closed", awaited=()),
    },
)


def decisions(refundable: Limit = None) -> Mapping[type[Command], Decision]:
    """refundable: why the payment provider cannot refund an amount.

    It is asked when a return is requested. Goods that arrive in other numbers than announced are
    received whatever they are worth; payments decide about their refund.
    """

    def request_refundable(states: Mapping[str, Any], command: RequestReturn) -> EventsByStream:
        decided = request(states, command)
        for event in decided.get(streams(command)[0], ()):
            if (
                refundable
                and isinstance(event, ReturnRequested)
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


DECISIONS = decisions()
