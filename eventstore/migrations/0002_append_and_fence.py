"""The two functions that the whole product stands on: append with the floor fence, and the fence for readers.

Why a fence: a sequence gives out positions before commit, so a reader of "position > n" can pass by a slower writer
and never see its events. An appender therefore first takes a shared advisory lock numbered with the sequence's last
value; a reader looks at the sequence, then at the lowest such lock still held. Nothing can appear at or below the
lower of the two later, because a lock is released only after its transaction's commit is visible.
See docs/adr/0002-the-floor-fence.md.
"""

from django.db import migrations

# The class id of our advisory locks lives in the upper 16 bits of the key: 0xE5 for the fence, 0xE6 for streams.
FORWARD = """
CREATE SEQUENCE eventstore_position CACHE 1;

CREATE FUNCTION eventstore_fence() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    last bigint;
    floor bigint;
BEGIN
    -- The order of these two statements is the whole point: first the sequence, then the locks.
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO last FROM eventstore_position;
    SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 48) - 1)) INTO floor
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND classid::bigint >> 16 = x'E5'::bigint
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN least(last, coalesce(floor, last));
END $$;

-- For who locks a lane: a function looks anew, where the statement that locks may see what was before the lock.
CREATE FUNCTION eventstore_has_parked(lane text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM eventstore_parked WHERE subscription = lane);
END $$;

CREATE FUNCTION eventstore_append(
    events jsonb, messages jsonb, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    floor bigint;
    conflict record;
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO floor FROM eventstore_position;
    PERFORM pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | floor);

    IF events IS NOT NULL THEN
        WITH sent AS MATERIALIZED (
            SELECT * FROM ROWS FROM (jsonb_to_recordset(events) AS (
                stream text, version integer, expected integer, id uuid, type text, schema_version smallint,
                data jsonb, correlation_id uuid, causation_id uuid, metadata jsonb
            )) WITH ORDINALITY AS sent(
                stream, version, expected, id, type, schema_version,
                data, correlation_id, causation_id, metadata, place
            )
        ), gaps AS (
            SELECT FROM sent
            WHERE expected > 0 AND NOT EXISTS (
                SELECT FROM eventstore_event before
                WHERE before.stream = sent.stream AND before.version = sent.expected
            )
        ), written AS (
            INSERT INTO eventstore_event (
                position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
            )
            SELECT nextval('eventstore_position'), id, stream, version, type, schema_version,
                   data, correlation_id, causation_id, metadata
            FROM (SELECT * FROM sent ORDER BY place) AS ordered
            WHERE NOT EXISTS (SELECT FROM gaps)
            ON CONFLICT (stream, version) DO NOTHING
            RETURNING position, version, stream, type
        ), announced AS (
            INSERT INTO eventstore_outbox (position, topic, key, type)
            SELECT position, 'event', stream, type FROM written
        )
        SELECT array_agg(written.position ORDER BY position), array_agg(written.version ORDER BY position)
        INTO positions, versions FROM written;

        IF positions IS NULL THEN
            -- Either the very same events are there already (then this append is a repeat), or another was first.
            SELECT array_agg(stored.position ORDER BY stored.position), array_agg(stored.version ORDER BY stored.position)
            INTO positions, versions
            FROM jsonb_to_recordset(events) AS sent(stream text, version integer, id uuid)
            JOIN eventstore_event stored USING (stream, version, id);
            IF coalesce(cardinality(positions), 0) = jsonb_array_length(events) THEN
                RETURN;
            END IF;
            positions := NULL;
        END IF;

        IF coalesce(cardinality(positions), 0) < jsonb_array_length(events) THEN
            -- What of this append was written is visible here, and does not count.
            SELECT sent.stream, sent.expected, coalesce(last.version, 0) AS actual INTO conflict
            FROM jsonb_to_recordset(events) AS sent(stream text, expected integer)
            LEFT JOIN LATERAL (
                SELECT stored.version FROM eventstore_event stored
                WHERE stored.stream = sent.stream AND stored.position <> ALL (coalesce(positions, '{}'))
                ORDER BY stored.version DESC
                LIMIT 1
            ) AS last ON true
            WHERE sent.expected IS NOT NULL AND sent.expected <> coalesce(last.version, 0)
            LIMIT 1;
            RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(conflict);
        END IF;
    END IF;

    IF messages IS NOT NULL THEN
        INSERT INTO eventstore_outbox (position, topic, key, type, id, payload, metadata)
        SELECT nextval('eventstore_position'), topic, key, type, id, payload, metadata
        FROM ROWS FROM (jsonb_to_recordset(messages) AS (
            topic text, key text, type text, id uuid, payload jsonb, metadata jsonb
        )) WITH ORDINALITY AS owed(topic, key, type, id, payload, metadata, place)
        ORDER BY place;
    END IF;
END $$;
"""

BACKWARD = """
DROP FUNCTION eventstore_append(jsonb, jsonb);
DROP FUNCTION eventstore_has_parked(text);
DROP FUNCTION eventstore_fence();
DROP SEQUENCE eventstore_position;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
