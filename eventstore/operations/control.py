"""Control a subscription: pause, resume, reset, skip a message. Each action goes into the audit
log."""

from eventstore import registry
from eventstore.log import audit
from eventstore.messaging.consumers import intake
from eventstore.messaging.consumers.intake import Partition
from eventstore.outbox import cursors, parked, wakeup
from eventstore.postgres import atomic, execute, quoted
from eventstore.subscriptions import (
    Commands,
    Consumer,
    Effect,
    Projection,
    Saga,
    Subscription,
    Webhooks,
)

from . import dead_letters

EMPTY = "DELETE FROM {table}"

# Why a subscription cannot be reset: the cursor can go back, its effects cannot. A publication can
# be reset, because events that are published again keep their ids.
REPEATS = {
    Saga: "each process would take its steps and send its commands a second time",
    Effect: "each call to the outside world would be made a second time",
    Commands: "each command would be decided a second time",
    Webhooks: "receivers would get again what is no longer stored; send deliveries again instead",
    Consumer: "handled messages leave the outbox; manage.py consumers seek reads them again",
}


class NoSuchSubscription(LookupError):
    """The wiring has no subscription of that name."""


class OperationRefused(Exception):
    """The operation would do harm, or the subscription is in that state already."""


def find(name: str) -> Subscription:
    """Raises NoSuchSubscription, which lists the existing ones."""
    try:
        return registry.subscriptions()[name]
    except KeyError:
        known = ", ".join(registry.subscriptions())
        raise NoSuchSubscription(
            f"{name!r} is not a subscription. Subscriptions: {known}."
        ) from None


def pause(name: str, *, who: str, reason: str = "") -> None:
    """Stop delivery; a batch in progress is finished. Raises NoSuchSubscription,
    OperationRefused."""
    _set_paused(name, True, who=who, reason=reason)


def resume(name: str, *, who: str, reason: str = "") -> None:
    """Raises NoSuchSubscription, OperationRefused."""
    _set_paused(name, False, who=who, reason=reason)
    wakeup.wake_workers()


def reset(name: str, position: int = 0, *, who: str, reason: str) -> int:
    """Move a subscription back to an earlier position, from which it continues. Returns how many
    rows of a read model were deleted.

    A read model is emptied and fills again while it is in use; a publication publishes again.
    Raises NoSuchSubscription, OperationRefused, audit.ReasonMissing.
    """
    reason, subscription = audit.require_reason(reason), find(name)
    if not goes_back(name):
        raise OperationRefused(f"{name} cannot be reset: {REPEATS[type(subscription)]}.")
    if isinstance(subscription, Projection) and position:
        raise OperationRefused(
            f"{name} can be reset to 0 only: its rows already include the events after {position},"
            " which would be folded twice. To keep the table readable meanwhile, use manage.py"
            f" rebuild_projection {name}."
        )
    with atomic():
        # The outbox must not be cleared while a cursor moves back: the subscription would miss what
        # was deleted.
        cursors.hold(cursors.CLEARED)
        cursors.hold(name)
        current = cursors.position_of(name)
        if not 0 <= position <= current:
            raise OperationRefused(
                f"{name} is at position {current}; reset only goes back. To leave out a message"
                " ahead, use skip."
            )
        gone = 0
        if isinstance(subscription, Projection):
            parked.clear(name)
            gone = int(
                execute(EMPTY.format(table=quoted(subscription.model._meta.db_table))).rowcount
            )
        cursors.move(name, position)
        details = {"from": current, "to": position, "rows": gone}
        audit.record(who, "reset", name, reason=reason, details=details)
    wakeup.wake_workers()
    return gone


def goes_back(name: str) -> bool:
    """Whether the subscription can be reset. Raises NoSuchSubscription."""
    return type(find(name)) not in REPEATS


def why_no_reset(name: str) -> str:
    """The reason why a subscription cannot be reset; "" if it can, or is not in the wiring."""
    return REPEATS.get(type(registry.subscriptions().get(name)), "")


def seek(
    consumer: str,
    partition: Partition,
    offset: int,
    *,
    who: str,
    reason: str,
    force: bool = False,
) -> None:
    """Let a consumer continue at another offset of a partition of Kafka. Messages that it has
    stored before are recognized by their ids. force: also behind the end of the partition, as a
    reader last saw it.

    Raises NoSuchSubscription, OperationRefused, audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    find(consumer)
    with atomic():
        before = intake.begun(consumer, partition)
        if before is None or partition.topic == consumer:  # a queue of RabbitMQ
            raise OperationRefused(
                f"{consumer} has never read {partition.topic}/{partition.partition} of Kafka."
            )
        if offset < 0:
            raise OperationRefused("An offset is 0 or larger.")
        end = intake.end_of(consumer, partition)
        if end is not None and offset > end and not force:
            raise OperationRefused(
                f"{partition.topic}/{partition.partition} ends before {end}, as a reader last saw"
                f" it: {offset} lies behind the end, where {consumer} would read nothing. --force"
                " seeks there."
            )
        intake.seek(consumer, partition, offset)
        details = {"topic": partition.topic, "partition": partition.partition}
        audit.record(
            who, "seek", consumer, reason=reason, details=details | {"from": before, "to": offset}
        )


def skip(name: str, position: int, *, who: str, reason: str) -> None:
    """Leave out one message: a parked one, or the next one ahead of the cursor.

    Raises NoSuchSubscription, OperationRefused, dead_letters.NotParked, audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    find(name)
    with atomic():
        cursors.hold(name)
        if parked.is_parked(name, position):
            dead_letters.discard(name, [position], who=who, reason=reason)
            return
        following = cursors.following(name)
        if following is None or following.position != position:
            ahead = (
                f"its next message is at {following.position}"
                if following
                else "no message is ahead of it"
            )
            raise OperationRefused(
                f"{name} has no parked message at {position}, and {ahead}. Pause the subscription"
                " first if it moves."
            )
        cursors.move(name, position)
        details = {"position": position, "type": following.type, "stream": following.stream}
        audit.record(who, "skip", name, reason=reason, details=details)
    wakeup.wake_workers()


def _set_paused(name: str, paused: bool, *, who: str, reason: str) -> None:
    find(name)
    with atomic():
        if not cursors.set_paused(name, paused):
            raise OperationRefused(f"{name} is {'paused' if paused else 'running'} already.")
        audit.record(who, "pause" if paused else "resume", name, reason=reason.strip())
