"""Changes of our database objects that break guarantees: functions, the sequence of positions, the
guards of the log."""

from functools import partial

from eventstore.postgres import rows

from . import functions
from .guarantee import TABLES, Guarantee

# A sequence with CACHE reserves numbers for each session, and so returns numbers that the fence has
# already passed.
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
# The sequence is read at its current value, the tables in an earlier snapshot: this order cannot
# make the sequence seem behind.
PLACE = """
    SELECT last, used, holder
    FROM (
        SELECT (SELECT coalesce(max(position), 0) FROM eventstore_event), 'the log'
        UNION ALL
        SELECT (SELECT coalesce(max(position), 0) FROM eventstore_outbox), 'the outbox'
        UNION ALL
        (
            SELECT position, 'the cursor ' || name FROM eventstore_subscription
            ORDER BY position DESC LIMIT 1
        )
    ) AS places(used, holder)
    CROSS JOIN LATERAL (
        SELECT coalesce(pg_sequence_last_value(to_regclass('eventstore_position')), 0)
    ) AS given(last)
    WHERE to_regclass('eventstore_position') IS NOT NULL AND used > last
    ORDER BY used DESC
    LIMIT 1
"""
# Name -> tgtype in pg_trigger: BEFORE UPDATE OR DELETE FOR EACH ROW; BEFORE TRUNCATE FOR EACH
# STATEMENT.
GUARDS = {"eventstore_append_only": 27, "eventstore_never_truncated": 34}
UNGUARDED = """
    SELECT name, CASE WHEN tgname IS NULL THEN 'gone' WHEN tgenabled = 'D' THEN 'disabled'
                      WHEN tgenabled <> 'A' THEN 'off where session_replication_role is replica'
                      ELSE 'different from ours' END
    FROM unnest(%s::text[], %s::smallint[]) AS ours(name, kind)
    LEFT JOIN pg_trigger ON tgrelid = to_regclass('eventstore_event') AND tgname = name
    WHERE (
        tgenabled = 'A' AND tgtype = kind AND tgqual IS NULL
        AND tgfoid = to_regproc('eventstore_refuse_change')
    ) IS NOT TRUE
"""
APPLIED = "SELECT name FROM django_migrations WHERE app = 'eventstore'"
IS_MIGRATED = "SELECT to_regclass('django_migrations') IS NOT NULL"


def are_of_today() -> bool:
    """Whether the tables are at the migration that this code knows; it cannot judge older or newer
    ones."""
    return (
        rows(IS_MIGRATED) == [(True,)]
        and {name for (name,) in rows(APPLIED)} == functions.migrations_of_today()
    )


GUARANTEES = (
    Guarantee(
        finding="functions",
        id="eventstore.E034",
        needs=TABLES,
        look=functions.wrong,
        what="The function {0} {1}.",
        culprit="{0}",
        why="Appends fail, or reads are not in order.",
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
        why="Positions are not in the order of appends, and subscriptions skip events.",
        mend=(
            "Stop web, workers and beat; ALTER SEQUENCE eventstore_position AS bigint INCREMENT 1"
            " NO MAXVALUE CACHE 1 NO CYCLE; (if it is missing: CREATE SEQUENCE, and setval to the"
            " last position); start them again, because sessions keep cached numbers."
        ),
    ),
    Guarantee(
        finding="position",
        id="eventstore.E036",
        needs=TABLES,
        look=partial(rows, PLACE),
        what="The sequence eventstore_position is at {0}, behind {1}, which is already used.",
        culprit="{2}",
        why=("Appends fail, or subscriptions that have passed the position skip the new events."),
        mend=(
            "Stop web, workers and beat; SELECT setval('eventstore_position', {1}); start them"
            " again. A restore or promotion without sequences may have lost more."
        ),
    ),
    Guarantee(
        finding="guards",
        id="eventstore.E037",
        needs=TABLES,
        look=partial(rows, UNGUARDED, [list(GUARDS), list(GUARDS.values())]),
        what="The log's guard {0} is {1}.",
        culprit="trigger {0} of eventstore_event",
        why="Events can be changed or deleted without a trace.",
        mend=(
            "ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER {0}; (if it is missing: see"
            " eventstore/sql/guards.sql)"
        ),
    ),
)
