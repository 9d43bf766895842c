"""A subscription in a person's hands: stop it, let it go on, begin it anew, leave a message out.
Each is written down."""

from eventstore import registry
from eventstore.log import audit
from eventstore.outbox import cursors, wakeup
from eventstore.postgres import atomic, execute, rows
from eventstore.subscriptions import Commands, Effect, Projection, Saga, Subscription

from . import dead_letters

PAUSE = """
    UPDATE eventstore_subscription
    SET paused = %s
    WHERE name = %s AND paused <> %s
    RETURNING position
"""
POSITION = "SELECT position FROM eventstore_subscription WHERE name = %s"
IS_PARKED = "SELECT eventstore_parked_at(%s, ARRAY[%s::bigint])"
EMPTY = "DELETE FROM {table}"
UNPARK = "DELETE FROM eventstore_parked WHERE subscription = %s"

# Why a subscription does not go back: a cursor can be put back, what was done cannot. A publication
# can: what others are told again comes under the same id.
REPEATS = {
    Saga: "each process would take its steps, and owe its commands, a second time",
    Effect: "each call to the outside world would be made a second time",
    Commands: "each command would be decided a second time",
}


class NoSuchSubscription(LookupError):
    """The wiring has no subscription of that name."""


class OperationRefused(Exception):
    """It would do harm, or it is so already; the sentence says which."""


def find(name: str) -> Subscription:
    """Raises NoSuchSubscription, which names those that there are."""
    try:
        return registry.subscriptions()[name]
    except KeyError:
        known = ", ".join(registry.subscriptions())
        raise NoSuchSubscription(f"{name!r} is no subscription. There are: {known}.") from None


def pause(name: str, *, who: str, reason: str = "") -> None:
    """From the next step on; what is under way is finished. Raises NoSuchSubscription,
    NotToBeDone."""
    _set_paused(name, True, who=who, reason=reason)


def resume(name: str, *, who: str, reason: str = "") -> None:
    """Raises NoSuchSubscription, NotToBeDone."""
    _set_paused(name, False, who=who, reason=reason)
    wakeup.wake_workers()


def reset(name: str, position: int = 0, *, who: str, reason: str) -> int:
    """Put a subscription back to an earlier position, from where it goes on; returns how many rows
    of a read model went.

    A read model is emptied and fills anew before its readers' eyes; a publication tells again what
    it told. Raises NoSuchSubscription, NotToBeDone, audit.ReasonMissing.
    """
    reason, subscription = audit.require_reason(reason), find(name)
    if not goes_back(name):
        raise OperationRefused(f"{name} does not go back: {REPEATS[type(subscription)]}.")
    if isinstance(subscription, Projection) and position:
        raise OperationRefused(
            f"{name} goes back to 0 only: its rows hold what lies behind {position} already, and"
            " would hold it twice. To see no empty table meanwhile: manage.py rebuild_projection"
            f" {name}."
        )
    with atomic():
        # Nobody clears the outbox while a cursor goes back: the subscription would look for what is
        # gone.
        cursors.hold(cursors.CLEARED)
        cursors.hold(name)
        ((stands,),) = rows(POSITION, [name])
        if not 0 <= position <= stands:
            raise OperationRefused(
                f"{name} stands at {stands}; what lies ahead is left out by skip, one at a time."
            )
        gone = _empty(name, subscription) if isinstance(subscription, Projection) else 0
        cursors.move(name, position)
        audit.record(
            who,
            "reset",
            name,
            reason=reason,
            details={"from": stands, "to": position, "rows": gone},
        )
    wakeup.wake_workers()
    return gone


def goes_back(name: str) -> bool:
    """Whether it can be reset. Raises NoSuchSubscription."""
    return type(find(name)) not in REPEATS


def skip(name: str, position: int, *, who: str, reason: str) -> None:
    """Leave one message out: one that is parked, or the next one ahead of the cursor.

    Raises NoSuchSubscription, NotToBeDone, dead_letters.NotParked, audit.ReasonMissing.
    """
    reason = audit.require_reason(reason)
    find(name)
    with atomic():
        cursors.hold(name)
        if rows(IS_PARKED, [name, position]):
            dead_letters.discard(name, [position], who=who, reason=reason)
            return
        following = cursors.following(name)
        if following is None or following.position != position:
            there = (
                f"its next one is at {following.position}"
                if following
                else "nothing lies ahead of it"
            )
            raise OperationRefused(
                f"{name} has not parked a message at {position}, and {there}. Pause it to choose in"
                " peace."
            )
        cursors.move(name, position)
        details = {"position": position, "type": following.type, "stream": following.stream}
        audit.record(who, "skip", name, reason=reason, details=details)
    wakeup.wake_workers()


def _set_paused(name: str, paused: bool, *, who: str, reason: str) -> None:
    find(name)
    with atomic():
        if not rows(PAUSE, [paused, name, paused]):
            raise OperationRefused(f"{name} is {'paused' if paused else 'running'} already.")
        audit.record(who, "pause" if paused else "resume", name, reason=reason.strip())


def _empty(name: str, projection: Projection) -> int:
    execute(UNPARK, [name]).close()
    return int(execute(EMPTY.format(table=projection.model._meta.db_table)).rowcount)
