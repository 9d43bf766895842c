"""Begin, go on with, call off and take back rebuilds: by manage.py, by the workers, by a person
elsewhere."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path
from typing import Any

from django.db import DatabaseError

from eventstore import log, postgres, registry
from eventstore.log import audit
from eventstore.outbox import cursors
from eventstore.subscriptions import Projection

from . import diff as difference
from . import parallel as sharing
from . import records
from . import shadow_table as shadow
from . import swap as swapping
from .diff import Difference, SubscriptionBehind
from .fold import RebuildFailed
from .records import DiffReport, Rebuilding
from .swap import NothingKept, Stopped

# In two numbers, so that it is never taken for one of the fence. Of a transaction: one of the
# session would stay with a pooler's connection. The transaction does nothing else, so it keeps no
# vacuum and no index build waiting.
LOCK = "SELECT pg_try_advisory_xact_lock(x'E7'::integer, hashtext(%s))"
LONG = "SET LOCAL idle_in_transaction_session_timeout = 0"
POSITION = "SELECT position FROM eventstore_subscription WHERE name = %s"

# As many differences as a person looks at.
MOST_TOLD = 500
# A worker that takes too long over it is killed; the next one finds this, and does not try the
# same.
CUT_OFF = (
    "The comparison was cut off before its end. manage.py rebuild_projection NAME --diff takes the"
    " time it needs."
)

Tell = Callable[[Rebuilding], None]


class NotAProjection(LookupError):
    """Only projections have a table that can be rebuilt."""


class AlreadyRebuilding(Exception):
    """Somebody else is at it."""


class NotRebuilding(LookupError):
    """There is no open rebuild of that name."""


def projection(name: str) -> Projection:
    found = registry.subscriptions().get(name)
    if not isinstance(found, Projection):
        raise NotAProjection(f"{name!r} is no projection. There are: {', '.join(projections())}.")
    return found


def projections() -> list[str]:
    return [name for name, each in registry.subscriptions().items() if isinstance(each, Projection)]


def rebuild(
    name: str,
    *,
    who: str = "",
    reason: str = "",
    swap: bool = True,
    anew: bool = False,
    processes: int = 1,
    tell: Tell = lambda rebuild: None,
) -> Rebuilding:
    """Fold the whole log anew and take the live table's place; one that was cut off is gone on
    with, unless `anew`.

    swap: False stops before that, for a look at the differences. tell is called at each checkpoint.
    Raises NotAProjection, NotRebuildable, AlreadyRebuilding, RebuildFailed, Stopped.
    """
    subject = projection(name)
    with _alone(name):
        open_one = records.open_one(name)
        if open_one is None or anew:
            open_one = _begin(
                name, subject, who=who, reason=reason, swap=swap, background=False, shares=processes
            )
        elif swap:
            records.want_swap(open_one.id)
        try:
            return _go_on(open_one, subject, swap=swap, seconds=inf, tell=tell)
        except KeyboardInterrupt:
            _end(open_one, subject, "cancelled", "")
            raise


def request(name: str, *, who: str, reason: str = "", swap: bool = True) -> Rebuilding:
    """Let the workers do it. Raises NotAProjection, NotRebuildable, AlreadyRebuilding."""
    subject = projection(name)
    with _alone(name):
        if records.open_one(name) is not None:
            raise AlreadyRebuilding(f"{name} is being rebuilt already.")
        return _begin(name, subject, who=who, reason=reason, swap=swap, background=True, shares=1)


def request_swap(name: str, *, who: str, reason: str = "") -> None:
    """Let the workers put in its place what was folded and looked at. Raises NotRebuilding."""
    found = _open(name)
    with postgres.atomic():
        records.want_swap(found.id)
        audit.record(who, "swap", name, reason=reason)


def request_comparison(name: str, *, who: str, reason: str = "") -> None:
    """Let the workers look once more at what differs. Raises NotRebuilding."""
    found = _open(name)
    with postgres.atomic():
        records.save_differences(found.id, None)
        audit.record(who, "compare", name, reason=reason)


def work(*, seconds: float) -> bool:
    """A worker's turn with what was requested; whether it moved anything on."""
    for each in records.in_background():
        subject = registry.subscriptions().get(each.subscription)
        if not isinstance(subject, Projection):
            records.become(each.id, "failed", error="The wiring has no such projection any more.")
            continue
        try:
            with _alone(each.subscription):
                now = _go_on(
                    records.get(each.id),
                    subject,
                    swap=each.swap,
                    seconds=seconds,
                    tell=lambda _: None,
                )
                if now.state == "ready" and not now.swap:
                    _compare(now, subject)
                return True
        except (
            AlreadyRebuilding,
            RebuildFailed,
            Stopped,
            shadow.NotRebuildable,
            SubscriptionBehind,
        ):
            continue
    return False


def cancel(name: str, *, who: str, reason: str = "") -> None:
    """The live table stays as it is. Whoever is at it stops at the next checkpoint. Raises
    NotRebuilding."""
    found = _open(name)
    with postgres.atomic():
        records.become(found.id, "cancelled")
        audit.record(who, "cancel rebuild", name, reason=reason)
    try:
        with _alone(name):
            shadow.drop(shadow.shadow(shadow.name_of(projection(name))))
    except AlreadyRebuilding:
        return  # it is dropped by who is at it


def roll_back(name: str, *, who: str, reason: str) -> int:
    """Take the table back that was live before the last rebuild; its subscription folds it on from
    where it stood.

    Returns that position. Raises NotAProjection, NothingKept, AlreadyRebuilding,
    audit.ReasonMissing.
    """
    reason, subject = audit.require_reason(reason), projection(name)
    with _alone(name):
        if records.open_one(name) is not None:
            raise AlreadyRebuilding(f"{name} is being rebuilt; cancel that first.")
        with postgres.atomic():
            position = swapping.roll_back(name, subject)
            audit.record(who, "roll back", name, reason=reason, details={"position": position})
    return position


def forget(name: str, *, who: str, reason: str = "") -> None:
    """Drop the table that was live before the last rebuild. Raises NotAProjection, NothingKept,
    AlreadyRebuilding."""
    subject = projection(name)
    with _alone(name), postgres.atomic():
        if records.with_replaced(name) is None:
            raise NothingKept(f"No earlier table of {name} is kept.")
        shadow.drop(shadow.kept(shadow.name_of(subject)))
        records.forget_replaced(name)
        audit.record(who, "forget", name, reason=reason)


def differences(name: str) -> Iterator[Difference]:
    """Between the live table and the one that was folded with swap=False. Raises NotRebuilding,
    SubscriptionBehind."""
    subject = projection(name)
    with _alone(name):
        found = records.open_one(name)
        if found is None or found.state != "ready":
            raise NotRebuilding(
                f"{name} has not been folded anew; rebuild it without the swap first."
            )
        yield from difference.differences(found, subject)


def _compare(found: Rebuilding, subject: Projection) -> None:
    """For who has to say whether it is to be swapped. Raises SubscriptionBehind; the next turn asks
    again then."""
    records.save_differences(found.id, DiffReport(trouble=CUT_OFF))
    try:
        with closing(difference.differences(found, subject)) as differences:
            first = [each._asdict() for each in islice(differences, MOST_TOLD + 1)]
    except SubscriptionBehind:
        records.save_differences(found.id, None)
        raise
    records.save_differences(found.id, DiffReport(first[:MOST_TOLD], len(first) > MOST_TOLD))


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """In a transaction on a connection of its own: with either the lock goes, however we end."""
    with postgres.beside() as beside:
        beside.execute("BEGIN")
        if not beside.rows(LOCK, [name])[0][0]:
            raise AlreadyRebuilding(f"{name} is being rebuilt by another process just now.")
        beside.execute(LONG)
        try:
            yield
        finally:
            with suppress(DatabaseError):  # a broken connection has let go of it already
                beside.execute("ROLLBACK")


def _open(name: str) -> Rebuilding:
    found = records.open_one(name)
    if found is None:
        raise NotRebuilding(f"{name} is not being rebuilt.")
    return found


def _begin(
    name: str,
    subject: Projection,
    *,
    who: str,
    reason: str,
    swap: bool,
    background: bool,
    shares: int,
) -> Rebuilding:
    cursors.ensure_cursors()
    shadow.check(subject)
    table = shadow.name_of(subject)
    with postgres.atomic():
        if earlier := records.open_one(name):
            records.become(earlier.id, "cancelled")
        shadow.create(table)
        audit.record(who, "rebuild", name, reason=reason)
        return records.begin(
            name,
            who=who,
            reason=reason,
            background=background,
            swap=swap,
            form=_form(subject),
            head=_head(name, swap=swap),
            shares=shares,
        )


def _go_on(
    found: Rebuilding, subject: Projection, *, swap: bool, seconds: float, tell: Tell
) -> Rebuilding:
    """Until it is done, or for that many seconds. What cannot be gone on with ends it, and the
    shadow with it."""
    try:
        found = _same(found, subject)
        if _fold(found, subject, seconds=seconds, tell=lambda: tell(records.get(found.id))):
            _complete(found, subject)
            if swap:
                swapping.take_place(found, subject, seconds=seconds)
    except (RebuildFailed, DatabaseError) as error:
        if isinstance(error, DatabaseError) and not _is_of_the_table(error):
            raise
        _end(found, subject, "failed", str(error))
        raise RebuildFailed(str(error)) from error
    except Stopped:
        if not records.get(found.id).is_open:
            shadow.drop(shadow.shadow(shadow.name_of(subject)))
        raise
    return records.get(found.id)


def _same(found: Rebuilding, subject: Projection) -> Rebuilding:
    """What was folded by other code, or for another form of the table, is folded once more from the
    beginning."""
    table = shadow.name_of(subject)
    if found.form == _form(subject) and shadow.exists(shadow.shadow(table)):
        return found
    return _begin(
        found.subscription,
        subject,
        who=found.who,
        reason=found.reason,
        swap=found.swap,
        background=found.background,
        shares=found.shares,
    )


def _fold(
    found: Rebuilding, subject: Projection, *, seconds: float, tell: Callable[[], None]
) -> bool:
    """Whether all is folded that was there when it began."""
    if found.position >= found.head:
        return True
    if found.shares > 1:
        sharing.fold_shares(found, subject, tell)
    else:
        sharing.fold_share(found, subject, 0, seconds=seconds, tell=tell)
    return records.get(found.id).position >= found.head


def _complete(found: Rebuilding, subject: Projection) -> None:
    table = shadow.name_of(subject)
    with postgres.atomic():
        if shadow.form(shadow.shadow(table)) != shadow.form(shadow.live(table)):
            shadow.complete(table)
        if not records.become(found.id, "ready"):
            raise Stopped(f"The rebuild of {found.subscription} was cancelled.")


def _end(found: Rebuilding, subject: Projection, state: str, error: str) -> None:
    records.become(found.id, state, error=error)
    shadow.drop(shadow.shadow(shadow.name_of(subject)))


def _is_of_the_table(error: DatabaseError) -> bool:
    """A rule of the table that its rows break, as a whole: found when the indexes are made."""
    return str(getattr(error.__cause__, "sqlstate", "")).startswith(("22", "23", "54"))


def _head(name: str, *, swap: bool) -> int:
    """To be compared with the live table, it must not be ahead of it."""
    return log.fence() if swap else int(postgres.rows(POSITION, [name])[0][0])


def _form(subject: Projection) -> str:
    """Changes whenever what was folded so far would not be the same today."""
    table, functions = shadow.live(shadow.name_of(subject)), [subject.key, *subject.evolve.values()]
    steps = [
        step
        for table in getattr(registry.wiring(), "UPCASTERS", ())
        for each in table.values()
        for step in each.values()
    ]
    modules = {_module_of(each) for each in (*functions, *steps, *subject.evolve)} - {None}
    sources = [Path(sys.modules[str(each)].__file__ or "") for each in modules]
    code = b"".join(sorted(path.read_bytes() for path in sources if path.is_file()))
    return hashlib.sha256(shadow.form(table).encode() + code).hexdigest()


def _module_of(each: Any) -> str | None:
    return getattr(each.func if isinstance(each, partial) else each, "__module__", None)
