"""Append without knowing the version: a lock on the streams concerned, never a wider one, then the ordinary append."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION eventstore_append_open(
    events jsonb, messages jsonb, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    each record;
    resolved jsonb;
BEGIN
    -- Sorted, so that two appends over the same streams cannot wait for one another.
    FOR each IN
        SELECT DISTINCT event->>'stream' AS stream FROM jsonb_array_elements(events) AS event
        WHERE (event->>'expected')::integer < 0 ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(
            (x'E6'::bigint << 48) | (hashtextextended(each.stream, 0) & ((1::bigint << 48) - 1))
        );
    END LOOP;

    SELECT array_agg(stored.position ORDER BY stored.position), array_agg(stored.version ORDER BY stored.position)
    INTO positions, versions
    FROM jsonb_to_recordset(events) AS sent(stream text, id uuid)
    JOIN eventstore_event stored USING (stream, id);
    IF coalesce(cardinality(positions), 0) = jsonb_array_length(events) THEN
        RETURN;
    END IF;

    FOR attempt IN 1..10 LOOP
        FOR each IN
            SELECT event->>'stream' AS stream, (event->>'expected')::integer AS expected
            FROM jsonb_array_elements(events) AS event
            WHERE (event->>'expected')::integer = -2
              AND NOT EXISTS (SELECT FROM eventstore_event WHERE stream = event->>'stream')
        LOOP
            RAISE EXCEPTION 'the stream does not exist' USING ERRCODE = 'ES001',
                DETAIL = json_build_object('stream', each.stream, 'expected', -2, 'actual', 0);
        END LOOP;

        -- A stream whose version is named keeps it.
        SELECT jsonb_agg(
            CASE WHEN event->'version' <> 'null' THEN event ELSE event || jsonb_build_object(
                'version', base.version + sent.step,
                'expected', CASE WHEN sent.step = 1 THEN base.version END
            ) END ORDER BY place
        ) INTO resolved
        FROM (
            SELECT event, place, row_number() OVER (PARTITION BY event->>'stream' ORDER BY place) AS step
            FROM jsonb_array_elements(events) WITH ORDINALITY AS sent(event, place)
        ) AS sent
        CROSS JOIN LATERAL (
            SELECT coalesce(max(version), 0) AS version FROM eventstore_event WHERE stream = sent.event->>'stream'
        ) AS base;

        BEGIN
            SELECT appended.positions, appended.versions INTO positions, versions
            FROM eventstore_append(resolved, messages) AS appended;
            RETURN;
        EXCEPTION WHEN SQLSTATE 'ES001' THEN
            -- Only a writer that names its version, and so takes no lock, can have come between.
            IF attempt = 10 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0002_append_and_fence")]
    operations = [migrations.RunSQL(FORWARD, "DROP FUNCTION eventstore_append_open(jsonb, jsonb);")]
