"""Start, continue, cancel and roll back rebuilds, for manage.py, the workers and the console."""

import hashlib
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import partial
from itertools import islice
from math import inf
from pathlib import Path

from django.db import DatabaseError

from eventstore import log, postgres, registry
from eventstore.log import audit
from eventstore.outbox import cursors
from eventstore.subscriptions import Projection

from . import diff, parallel, records, shadow_table
from . import swap as table_swap
from .diff import Difference, SubscriptionBehind
from .fold import RebuildFailed
from .records import DiffReport, Rebuilding, Stopped
from .swap import NothingKept

# Two-part advisory locks never collide with those of the fence. The lock belongs to a transaction:
# a session lock would stay with the connection of a pooler. The transaction does nothing else, so
# it blocks neither vacuum nor index builds.
LOCK = "SELECT pg_try_advisory_xact_lock(x'E7'::integer, hashtext(%s))"
NO_TIMEOUT = "SET LOCAL idle_in_transaction_session_timeout = 0"
POSITION = "SELECT position FROM eventstore_subscription WHERE name = %s"

# As many differences as a person reads.
MAX_DIFFERENCES = 500
# Stored before a comparison: a worker that takes too long is killed, and the next one must not try
# the same again.
CUT_OFF = (
    "The comparison took too long and was cut off. manage.py rebuild_projection NAME --diff takes"
    " the time it needs."
)

# Classes of SQLSTATE for rows that break a rule of the table, which may show only when its indexes
# are made: data exception, integrity constraint violation, limit exceeded.
FAULTS_OF_ROWS = ("22", "23", "54")

OnCheckpoint = Callable[[Rebuilding], None]


class NotAProjection(LookupError):
    """Only a projection has a table that can be rebuilt."""


class AlreadyRebuilding(Exception):
    """The projection is being rebuilt already."""


class NotRebuilding(LookupError):
    """The projection has no open rebuild."""


def projection(name: str) -> Projection:
    found = registry.subscriptions().get(name)
    if not isinstance(found, Projection):
        raise NotAProjection(
            f"{name!r} is not a projection. Projections: {', '.join(projections())}."
        )
    return found


def projections() -> list[str]:
    return [*registry.of_kind(Projection)]


def rebuild(
    name: str,
    *,
    who: str = "",
    reason: str = "",
    swap: bool = True,
    restart: bool = False,
    processes: int = 1,
    on_checkpoint: OnCheckpoint = lambda rebuild: None,
) -> Rebuilding:
    """Fold the whole log into a new table and swap it with the live one. Resumes an interrupted
    rebuild, unless `restart`.

    swap: False stops before the swap, so that the differences can be read. Raises NotAProjection,
    NotRebuildable, AlreadyRebuilding, RebuildFailed, ShareLost, Stopped.
    """
    subject = projection(name)
    with _exclusive_lock(name):
        open_one = records.open_one(name)
        if open_one is None or restart:
            open_one = _begin(
                name, subject, who=who, reason=reason, swap=swap, background=False, shares=processes
            )
        elif swap:
            records.want_swap(open_one.id)
        try:
            return _continue(open_one, subject, swap=swap, on_checkpoint=on_checkpoint)
        except KeyboardInterrupt:
            _end(open_one, subject, "cancelled", "")
            raise


def request(name: str, *, who: str, reason: str = "", swap: bool = True) -> Rebuilding:
    """Start a rebuild that the workers carry out. Raises NotAProjection, NotRebuildable,
    AlreadyRebuilding."""
    subject = projection(name)
    with _exclusive_lock(name):
        if records.open_one(name) is not None:
            raise AlreadyRebuilding(f"{name} is being rebuilt already.")
        return _begin(name, subject, who=who, reason=reason, swap=swap, background=True, shares=1)


def request_swap(name: str, *, who: str, reason: str = "") -> None:
    """Let the workers swap in the folded table. Raises NotRebuilding."""
    found = _open(name)
    with postgres.atomic():
        records.want_swap(found.id)
        audit.record(who, "swap", name, reason=reason)


def request_comparison(name: str, *, who: str, reason: str = "") -> None:
    """Let the workers compare the tables again. Raises NotRebuilding."""
    found = _open(name)
    with postgres.atomic():
        records.save_differences(found.id, None)
        audit.record(who, "compare", name, reason=reason)


def work(*, seconds: float) -> bool:
    """Continue one requested rebuild for about that long. Returns whether there was progress."""
    for each in records.in_background():
        subject = registry.subscriptions().get(each.subscription)
        if not isinstance(subject, Projection):
            error = f"The wiring has no projection {each.subscription} any more."
            records.become(each.id, "failed", error=error)
            continue
        try:
            with _exclusive_lock(each.subscription):
                now = records.get(each.id)
                now = _continue(now, subject, swap=each.swap, seconds=seconds)
                if now.state == "ready" and not now.swap:
                    _compare(now, subject)
                return True
        except (
            AlreadyRebuilding,
            RebuildFailed,
            Stopped,
            shadow_table.NotRebuildable,
            SubscriptionBehind,
        ):
            continue
    return False


def cancel(name: str, *, who: str, reason: str = "") -> None:
    """End the open rebuild; the live table stays unchanged. A process that is working on it stops
    at the next checkpoint.

    Raises NotRebuilding.
    """
    found = _open(name)
    with postgres.atomic():
        records.become(found.id, "cancelled")
        audit.record(who, "cancel rebuild", name, reason=reason)
    try:
        with _exclusive_lock(name):
            _drop_shadow(projection(name))
    except AlreadyRebuilding:
        return  # the process that holds the lock drops it


def roll_back(name: str, *, who: str, reason: str) -> int:
    """Make the table live again that the last rebuild replaced. Its subscription continues from the
    cursor of that table, whose position is returned.

    Raises NotAProjection, NothingKept, AlreadyRebuilding, audit.ReasonMissing.
    """
    reason, subject = audit.require_reason(reason), projection(name)
    with _exclusive_lock(name):
        if records.open_one(name) is not None:
            raise AlreadyRebuilding(f"{name} is being rebuilt; cancel the rebuild first.")
        with postgres.atomic():
            position = table_swap.roll_back(name, subject)
            audit.record(who, "roll back", name, reason=reason, details={"position": position})
    return position


def forget(name: str, *, who: str, reason: str = "") -> None:
    """Drop the table that the last rebuild replaced. Raises NotAProjection, NothingKept,
    AlreadyRebuilding."""
    subject = projection(name)
    with _exclusive_lock(name), postgres.atomic():
        if records.with_replaced(name) is None:
            raise NothingKept(f"No earlier table of {name} is kept.")
        shadow_table.drop(shadow_table.kept_name(shadow_table.table_of(subject)))
        records.forget_replaced(name)
        audit.record(who, "forget", name, reason=reason)


def differences(name: str) -> Iterator[Difference]:
    """Differences between the live table and a table folded with swap=False. Raises NotRebuilding,
    SubscriptionBehind."""
    subject = projection(name)
    with _exclusive_lock(name):
        found = records.open_one(name)
        if found is None or found.state != "ready":
            raise NotRebuilding(f"{name} has no folded table; rebuild it without the swap first.")
        yield from diff.differences(found, subject)


def _compare(found: Rebuilding, subject: Projection) -> None:
    """Store the differences for the person who decides about the swap.

    Raises SubscriptionBehind; the next turn compares again then.
    """
    records.save_differences(found.id, DiffReport(trouble=CUT_OFF))
    try:
        with closing(diff.differences(found, subject)) as differences:
            first = [each._asdict() for each in islice(differences, MAX_DIFFERENCES + 1)]
    except SubscriptionBehind:
        records.save_differences(found.id, None)
        raise
    is_cut = len(first) > MAX_DIFFERENCES
    records.save_differences(found.id, DiffReport(first[:MAX_DIFFERENCES], is_cut))


@contextmanager
def _exclusive_lock(name: str) -> Iterator[None]:
    """Held by a transaction on a connection of its own: it is released however this process ends.

    Raises AlreadyRebuilding.
    """
    with postgres.beside() as connection:
        connection.execute("BEGIN")
        if not connection.rows(LOCK, [name])[0][0]:
            raise AlreadyRebuilding(f"Another process is rebuilding {name}.")
        connection.execute(NO_TIMEOUT)
        try:
            yield
        finally:
            with suppress(DatabaseError):  # a broken connection has released the lock already
                connection.execute("ROLLBACK")


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
    shadow_table.check(subject)
    table = shadow_table.table_of(subject)
    with postgres.atomic():
        if earlier := records.open_one(name):
            records.become(earlier.id, "cancelled")
        shadow_table.create(table)
        audit.record(who, "rebuild", name, reason=reason)
        # A table that is compared with the live one must not be ahead of it.
        head = log.fence() if swap else int(postgres.rows(POSITION, [name])[0][0])
        return records.begin(
            name,
            who=who,
            reason=reason,
            background=background,
            swap=swap,
            form=_fingerprint(subject),
            head=head,
            shares=shares,
        )


def _continue(
    found: Rebuilding,
    subject: Projection,
    *,
    swap: bool,
    seconds: float = inf,
    on_checkpoint: OnCheckpoint = lambda rebuild: None,
) -> Rebuilding:
    """Work until the end, or for about that many seconds. A failure ends the rebuild and drops its
    table."""
    try:
        found = _restart_if_outdated(found, subject)
        if _fold(found, subject, seconds, lambda: on_checkpoint(records.get(found.id))):
            table = shadow_table.table_of(subject)
            live, shadow = shadow_table.live_name(table), shadow_table.shadow_name(table)
            with postgres.atomic():
                if shadow_table.form(shadow) != shadow_table.form(live):
                    shadow_table.complete(table)
                if not records.become(found.id, "ready"):
                    raise Stopped(f"The rebuild of {found.subscription} was cancelled.")
            if swap:
                table_swap.swap_in(found, subject, seconds=seconds)
    except (RebuildFailed, DatabaseError) as error:
        state = str(getattr(error.__cause__, "sqlstate", ""))
        if isinstance(error, DatabaseError) and not state.startswith(FAULTS_OF_ROWS):
            raise
        _end(found, subject, "failed", str(error))
        raise RebuildFailed(str(error)) from error
    except Stopped:
        if not records.get(found.id).is_open:
            _drop_shadow(subject)
        raise
    return records.get(found.id)


def _restart_if_outdated(found: Rebuilding, subject: Projection) -> Rebuilding:
    """Begin again if the code or the form of the table has changed since."""
    shadow = shadow_table.shadow_name(shadow_table.table_of(subject))
    if found.form == _fingerprint(subject) and shadow_table.exists(shadow):
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
    found: Rebuilding, subject: Projection, seconds: float, on_checkpoint: Callable[[], None]
) -> bool:
    """Returns whether everything is folded that was in the log when the rebuild began."""
    if found.position >= found.head:
        return True
    if found.shares > 1:
        parallel.fold_shares(found, subject, on_checkpoint)
    else:
        parallel.fold_share(found, subject, 0, seconds=seconds, on_checkpoint=on_checkpoint)
    return records.get(found.id).position >= found.head


def _end(found: Rebuilding, subject: Projection, state: str, error: str) -> None:
    records.become(found.id, state, error=error)
    _drop_shadow(subject)


def _drop_shadow(subject: Projection) -> None:
    shadow_table.drop(shadow_table.shadow_name(shadow_table.table_of(subject)))


def _fingerprint(subject: Projection) -> str:
    """A hash that changes whenever the same events might fold to other rows, or into another table.

    It covers the form of the live table, and the source of each module that defines the key
    function, a fold function, an event class or an upcaster.
    """
    tables = getattr(registry.wiring(), "UPCASTERS", ())
    upcasters = [each for table in tables for steps in table.values() for each in steps.values()]
    code = (subject.key, *subject.evolve.values(), *upcasters, *subject.evolve)
    functions = [each.func if isinstance(each, partial) else each for each in code]
    modules = {getattr(each, "__module__", None) for each in functions} - {None}
    paths = [Path(sys.modules[str(module)].__file__ or "") for module in modules]
    source = b"".join(sorted(path.read_bytes() for path in paths if path.is_file()))
    form = shadow_table.form(shadow_table.live_name(shadow_table.table_of(subject)))
    return hashlib.sha256(form.encode() + source).hexdigest()
