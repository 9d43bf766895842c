"""What people do for a customer by hand: decided as ever, and written down with who and why in the same commit."""

from django.db import transaction

from eventstore import bus, context, operating
from eventstore.messages import replace

from .commands import CancelOrder


def cancel(order_id: str, *, who: str, reason: str) -> None:
    """Raises operating.ReasonMissing, and what the order refuses."""
    reason = operating.demand(reason)
    with transaction.atomic():
        operating.note(who, "cancel", f"order {order_id}", reason=reason)
        bus.dispatch(CancelOrder(order_id, reason), metadata=replace(context.current(), actor=who))
