"""What staff do for a customer: dispatch a command and record who did it and why, in one commit."""

from collections.abc import Sequence
from typing import Any

from django.db import transaction
from django.utils import timezone
from uuid_utils import uuid7

from eventstore import log
from eventstore.aggregate import CommandRejected, stream_name
from eventstore.commands import bus, repository
from eventstore.log import WrongExpectedVersion, audit
from eventstore.messages import Command, replace
from orders.commands import CancelOrder, CloseReturn, ReceiveReturn, RequestReturn
from orders.events import Portion
from orders.order.aggregate import ORDER, Order
from orders.returns.aggregate import RETURN, Return, ReturnNotFound

REFUSALS = (CommandRejected, WrongExpectedVersion, audit.ReasonMissing)


def order(order_id: str) -> Order:
    """The order by the log, which has the units of every return; a new one if there is none."""
    return _state(ORDER.category, order_id)  # type: ignore[no-any-return]


def returned(return_id: str) -> Return:
    return _state(RETURN.category, return_id)  # type: ignore[no-any-return]


def cancel(order_id: str, *, who: str, reason: str) -> None:
    """Raises audit.ReasonMissing and CommandRejected, as all functions below."""
    reason = audit.require_reason(reason)
    _do(CancelOrder(order_id, reason), "cancel", f"order {order_id}", who=who, reason=reason)


def request_return(
    order_id: str, lines: Sequence[Portion], charges: Sequence[Portion], *, who: str, reason: str
) -> str:
    """Request goods back, and charges refunded. Returns the id of the return."""
    reason, return_id = audit.require_reason(reason), str(uuid7())
    command = RequestReturn(
        return_id, order_id, tuple(lines), tuple(charges), reason, timezone.now()
    )
    _do(command, "request return", f"order {order_id}", who=who, reason=reason)
    return return_id


def receive_return(
    return_id: str, lines: Sequence[Portion] = (), *, who: str, reason: str, delivery: str = ""
) -> None:
    """The goods have arrived. lines: the goods that arrived; empty for all that are awaited.
    delivery: the parcel's name; two parcels without a name and with the same contents are one."""
    reason = audit.require_reason(reason)
    command = ReceiveReturn(return_id, _order_of(return_id), tuple(lines), timezone.now(), delivery)
    _do(command, "receive return", f"return {return_id}", who=who, reason=reason)


def close_return(return_id: str, *, who: str, reason: str) -> None:
    """Stop waiting for goods that do not arrive."""
    reason = audit.require_reason(reason)
    command = CloseReturn(return_id, _order_of(return_id), reason)
    _do(command, "close return", f"return {return_id}", who=who, reason=reason)


def _order_of(return_id: str) -> str:
    if not (order_id := returned(return_id).order_id):
        raise ReturnNotFound(return_id)
    return order_id


def _do(command: Command, action: str, subject: str, *, who: str, reason: str) -> None:
    with transaction.atomic():
        audit.record(who, action, subject, reason=reason)
        bus.dispatch(command, metadata=replace(log.current_metadata(), actor=who))


def _state(category: str, key: str) -> Any:
    return repository.load_one(stream_name(category, key)).state
