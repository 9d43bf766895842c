"""The epoch of the log: another one begins when the log may have lost something, before anything is appended to it.

The mark of the present epoch stands in a table that PostgreSQL does not log. So it empties it whenever the server may
have forgotten something else, too: after a crash, on a standby that becomes the primary, and in what was restored from
a base backup. As long as no mark stands there, no append is taken and no lane takes a step. What the table cannot show,
a dump that was read into another database, is told by where the epoch began: system identifier and database.
See docs/adr/0023-the-log-has-epochs.md.
"""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("eventstore.migrations.0026_appends_that_refuse")

# first: positions of this epoch lie above it; intact: all events up to there are known to be there, of all that were
# there before; last: of the last event that it began with.
# Tables of their own and no models: what empties models for a test must not end the epoch.
TABLES = """
CREATE TABLE eventstore_epoch (
    number integer PRIMARY KEY,
    mark bigint NOT NULL UNIQUE,
    reason text NOT NULL COLLATE "C",
    detail text NOT NULL DEFAULT '',
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    silent interval NOT NULL DEFAULT '0',
    intact bigint NOT NULL,
    last bigint NOT NULL,
    first bigint NOT NULL,
    system_identifier bigint,
    database oid NOT NULL,
    timeline integer,
    settled_at timestamptz
);
CREATE UNLOGGED TABLE eventstore_epoch_mark (mark bigint NOT NULL);
"""

FUNCTIONS = """
-- In PL/pgSQL, which keeps its plan: in SQL it would be planned anew in each statement.
CREATE FUNCTION eventstore_mark() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT mark FROM eventstore_epoch_mark);
END $$;

CREATE FUNCTION eventstore_epoch_is_over() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'another epoch of the log' USING ERRCODE = 'ES005';
END $$;

-- For a statement that goes by what somebody remembers of the epoch of that mark.
CREATE FUNCTION eventstore_demand_epoch(remembered bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM eventstore_epoch_mark WHERE mark = remembered) THEN
        PERFORM eventstore_epoch_is_over();
    END IF;
    RETURN true;
END $$;

-- What may not be asked here is NULL: managed servers may forbid it, and a standby has no timeline to write to.
CREATE FUNCTION eventstore_place(OUT system_identifier bigint, OUT database oid, OUT timeline integer)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT oid INTO database FROM pg_database WHERE datname = current_database();
    BEGIN
        SELECT control.system_identifier INTO system_identifier FROM pg_control_system() AS control;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    BEGIN
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
    EXCEPTION WHEN insufficient_privilege OR object_not_in_prerequisite_state THEN NULL;
    END;
END $$;

-- Begin the next epoch, unless it is not the one that the caller thinks is over: then somebody else has. Returns the
-- mark of the present epoch. whole: nothing behind this position is known to be whole.
CREATE FUNCTION eventstore_begin_epoch(over bigint, reason text, detail text, whole bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    standing bigint;
    before integer;
    began eventstore_epoch;
    latest timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(x'E9'::bigint << 48);
    standing := eventstore_mark();
    IF standing IS NOT NULL AND standing IS DISTINCT FROM over THEN
        RETURN standing;
    END IF;
    began.number := coalesce((SELECT max(number) FROM eventstore_epoch), 0) + 1;
    -- Never 0, and never one that was before.
    began.mark := hashtextextended(gen_random_uuid()::text, 0);
    SELECT coalesce(max(position), 0) INTO began.last FROM eventstore_event;
    -- Who moved a cursor had seen that all before it was committed, and committed later: what is here of the one is
    -- preceded by all of the other.
    SELECT coalesce(max(position), 0) INTO began.intact FROM eventstore_subscription;
    began.intact := least(began.intact, began.last, coalesce(whole, began.last));
    began.first := greatest(
        began.last, (SELECT max(position) FROM eventstore_outbox), (SELECT max(position) FROM eventstore_subscription),
        (SELECT max(first) FROM eventstore_epoch), (SELECT last_value FROM eventstore_position),
        -- No position that was given to what is lost is given again, however much that was: since 2026, no log has
        -- had 20,000 positions a second. It does for 400 years.
        extract(epoch FROM clock_timestamp() - '2026-01-01Z'::timestamptz)::bigint * 20000
    );
    IF began.number = 1 THEN
        began.intact := 0; began.last := 0; began.first := 0;
    ELSE
        PERFORM setval('eventstore_position', began.first);
    END IF;
    SELECT greatest(
        (SELECT max(at) FROM eventstore_heartbeat), (SELECT max(moved_at) FROM eventstore_subscription),
        (SELECT recorded_at FROM eventstore_event ORDER BY position DESC LIMIT 1)
    ) INTO latest;
    INSERT INTO eventstore_epoch (
        number, mark, reason, detail, silent, intact, last, first, system_identifier, database, timeline
    )
    SELECT began.number, began.mark, eventstore_begin_epoch.reason, eventstore_begin_epoch.detail,
           greatest(clock_timestamp() - latest, '0'), began.intact, began.last, began.first,
           place.system_identifier, place.database, place.timeline
    FROM eventstore_place() AS place;
    DELETE FROM eventstore_epoch_mark;
    INSERT INTO eventstore_epoch_mark (mark) VALUES (began.mark);
    RETURN began.mark;
END $$;
"""
# The log as it is at the migration is whole: nothing to leap over.
BEGIN = """
SELECT eventstore_begin_epoch(NULL, 'first', '');
"""
# For the role of the application, which may begin an epoch and not write one; what it calls is found here alone.
OF_THE_OWNER = """
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION eventstore_begin_epoch(bigint, text, text, bigint) SET search_path = pg_catalog, %I, pg_temp',
        current_schema()
    );
END $$;
"""

# An expression still, so that it is written out where it is called.
TAKE_FENCE = """
CREATE OR REPLACE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | CASE
        WHEN current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted')
            THEN eventstore_refuse_isolation()
        WHEN eventstore_mark() IS NULL THEN eventstore_epoch_is_over()
        WHEN pg_current_xact_id_if_assigned() IS NULL
            THEN coalesce(pg_sequence_last_value('eventstore_position'), 0)
        ELSE eventstore_first_fence(coalesce(pg_sequence_last_value('eventstore_position'), 0))
    END)
$$;
"""
TAKE_FENCE_BEFORE = """
CREATE OR REPLACE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | CASE
        WHEN current_setting('transaction_isolation') <> 'read committed' THEN eventstore_refuse_isolation()
        WHEN pg_current_xact_id_if_assigned() IS NULL
            THEN coalesce(pg_sequence_last_value('eventstore_position'), 0)
        ELSE eventstore_first_fence(coalesce(pg_sequence_last_value('eventstore_position'), 0))
    END)
$$;
"""

# epoch: of what the premises were read or remembered in; NULL where nothing was.
ON_PREMISES = """
CREATE FUNCTION eventstore_on_premises(epoch bigint, premises json, INOUT events json) LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    IF epoch IS NOT NULL AND epoch IS DISTINCT FROM eventstore_mark() THEN
        PERFORM eventstore_epoch_is_over();
    END IF;
    PERFORM eventstore_lock_premises(premises);
    -- A statement of its own, after the locks: it sees what was committed under them before. A premise is the last
    -- version: neither was there a newer one since, nor is it gone.
    SELECT premise.key AS stream, premise.value::integer AS expected, coalesce(newest.version, 0) AS actual INTO changed
    FROM json_each_text(premises) AS premise
    LEFT JOIN LATERAL (
        SELECT event.version
        FROM eventstore_event AS event
        WHERE event.stream = premise.key
        ORDER BY event.version DESC
        LIMIT 1
    ) AS newest ON true
    WHERE CASE premise.value::integer
        WHEN -2 THEN newest.version IS NULL
        ELSE premise.value::integer <> coalesce(newest.version, 0)
    END
    LIMIT 1;
    -- What is said again because its answer was lost was right when it was said first.
    IF FOUND AND NOT EXISTS (
        SELECT FROM json_to_recordset(events) AS sent(stream text, version integer, id uuid)
        JOIN eventstore_event USING (stream, id)
    ) THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(changed);
    END IF;
END $$;
"""

GONE = """
DROP FUNCTION eventstore_on_premises(bigint, json, json);
"""
# Run as the owner of the log, as the other functions that append are (0027).
OF_THE_OWNER_TOO = """
DO $$
BEGIN
    EXECUTE format(
        'ALTER FUNCTION eventstore_on_premises(bigint, json, json) SECURITY DEFINER '
        'SET search_path = pg_catalog, %I, pg_temp SET enable_seqscan = off', current_schema()
    );
END $$;
REVOKE EXECUTE ON FUNCTION eventstore_on_premises(bigint, json, json) FROM PUBLIC;
DROP FUNCTION eventstore_on_premises(json, json);
"""
WITHOUT_EPOCH = BEFORE.ON_PREMISES[BEFORE.ON_PREMISES.index("CREATE OR REPLACE FUNCTION eventstore_on_premises") :]
GONE_WITH_ALL = """
DROP FUNCTION eventstore_begin_epoch(bigint, text, text, bigint);
DROP FUNCTION eventstore_place();
DROP FUNCTION eventstore_demand_epoch(bigint);
DROP FUNCTION eventstore_epoch_is_over();
DROP FUNCTION eventstore_mark();
DROP TABLE eventstore_epoch_mark, eventstore_epoch;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0027_the_owner_appends")]
    operations = [
        migrations.RunSQL(TABLES + FUNCTIONS, GONE_WITH_ALL),
        migrations.RunSQL(OF_THE_OWNER, migrations.RunSQL.noop),
        migrations.RunSQL(BEGIN, migrations.RunSQL.noop),
        migrations.RunSQL(TAKE_FENCE, TAKE_FENCE_BEFORE),
        migrations.RunSQL(ON_PREMISES, GONE),
        migrations.RunSQL(OF_THE_OWNER_TOO, WITHOUT_EPOCH),
    ]
