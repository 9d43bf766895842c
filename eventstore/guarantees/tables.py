"""What somebody can do to our tables behind our back: the sequence, its place, the guards of the
log, the functions."""

from collections.abc import Iterable
from functools import partial

from eventstore.postgres import rows

from . import functions
from .guarantee import TABLES, Guarantee, Row

# A sequence that keeps numbers back for each session gives out later what the fence has passed.
SEQUENCE = """
    SELECT wrong
    FROM (SELECT to_regclass('eventstore_position') AS oid) AS ours
    LEFT JOIN pg_sequence ON seqrelid = oid
    CROSS JOIN LATERAL (VALUES
        (CASE WHEN seqrelid IS NULL THEN 'is missing' END),
        (CASE WHEN seqcache <> 1 THEN 'has CACHE ' || seqcache END),
        (CASE WHEN seqincrement <> 1 THEN 'has INCREMENT ' || seqincrement END),
        (CASE WHEN seqmax < 9223372036854775807 THEN 'has MAXVALUE ' || seqmax END),
        (CASE WHEN seqcycle THEN 'has CYCLE' END)
    ) AS faults(wrong)
    WHERE wrong IS NOT NULL
"""
# The sequence is read as it is now, and the tables as they were a moment before: it is never behind
# by that.
PLACE = """
    SELECT last, used, holder
    FROM (
        SELECT (SELECT coalesce(max(position), 0) FROM eventstore_event), 'the log'
        UNION ALL
        SELECT (SELECT coalesce(max(position), 0) FROM eventstore_outbox), 'the outbox'
        UNION ALL
        (SELECT position, 'the cursor ' || name FROM eventstore_subscription
            ORDER BY position DESC LIMIT 1)
    ) AS places(used, holder)
    CROSS JOIN LATERAL (SELECT coalesce(pg_sequence_last_value(to_regclass('eventstore_position')),
        0)) AS given(last)
    WHERE to_regclass('eventstore_position') IS NOT NULL AND used > last
    ORDER BY used DESC
    LIMIT 1
"""
# name -> as pg_trigger has it: before each row that is updated or deleted; before each statement
# that truncates.
GUARDS = {"eventstore_append_only": 27, "eventstore_never_truncated": 34}
UNGUARDED = """
    SELECT name, CASE WHEN tgname IS NULL THEN 'gone' WHEN tgenabled = 'D' THEN 'switched off'
                      WHEN tgenabled <> 'A' THEN 'off where session_replication_role is replica'
                      ELSE 'another than ours' END
    FROM unnest(%s::text[], %s::smallint[]) AS ours(name, kind)
    LEFT JOIN pg_trigger ON tgrelid = to_regclass('eventstore_event') AND tgname = name
    WHERE (tgenabled = 'A' AND tgtype = kind AND tgqual IS NULL
        AND tgfoid = to_regproc('eventstore_refuse_change'))
          IS NOT TRUE
"""
APPLIED = "SELECT name FROM django_migrations WHERE app = 'eventstore'"
IS_MIGRATED = "SELECT to_regclass('django_migrations') IS NOT NULL"


def are_of_today() -> bool:
    """Whether the tables are those that this code knows: of older or newer ones it cannot say what
    they should be."""
    return (
        rows(IS_MIGRATED) == [(True,)]
        and {name for (name,) in rows(APPLIED)} == functions.migrations_of_today()
    )


def _unguarded() -> Iterable[Row]:
    return rows(UNGUARDED, [list(GUARDS), list(GUARDS.values())])


GUARANTEES = (
    Guarantee(
        finding="functions",
        id="eventstore.E034",
        needs=TABLES,
        look=functions.wrong,
        what="The function {0} {1}.",
        culprit="{0}",
        why="Nothing can be appended, or nothing be read in order.",
        mend=(
            "Restore it from its file in eventstore/sql/functions (how:"
            " eventstore/sql/__init__.py)."
        ),
    ),
    Guarantee(
        finding="sequence",
        id="eventstore.E035",
        needs=TABLES,
        look=partial(rows, SEQUENCE),
        what="The sequence eventstore_position {0}.",
        culprit="eventstore_position",
        why="Positions come in another order than appends, and subscriptions pass events over.",
        mend=(
            "Stop web, workers and beat; ALTER SEQUENCE eventstore_position AS bigint INCREMENT 1"
            " NO MAXVALUE CACHE 1 NO CYCLE; (gone: CREATE SEQUENCE, and setval to the last"
            " position); start them again, as sessions keep what they were given."
        ),
    ),
    Guarantee(
        finding="position",
        id="eventstore.E036",
        needs=TABLES,
        look=partial(rows, PLACE),
        what="The sequence eventstore_position stands at {0}, behind {1}, which is taken already.",
        culprit="{2}",
        why=(
            "What is appended now is passed over by each subscription that has been there, or"
            " cannot be appended."
        ),
        mend=(
            "Stop web, workers and beat; SELECT setval('eventstore_position', {1}); start them"
            " again. What was restored or promoted without its sequences may lack more."
        ),
    ),
    Guarantee(
        finding="guards",
        id="eventstore.E037",
        needs=TABLES,
        look=_unguarded,
        what="The log's guard {0} is {1}.",
        culprit="trigger {0} of eventstore_event",
        why="Events can be changed or removed, and nobody would know.",
        mend=(
            "ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {0}; (gone: as in"
            " eventstore/sql/guards.sql)"
        ),
    ),
)
