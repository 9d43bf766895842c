"""The append functions as they are today, and payloads kept as they were written.

What a lane or a reader does with a payload is to read all of it. `json` keeps the text and gives it back at a third of
what it costs to make text out of `jsonb`, takes less to write, and stays the very bytes that were said. See
docs/adr/0012-payloads-stay-as-they-were-written.md.

On a large log this rewrites the table: plan for the time.
"""

from django.db import migrations

import eventstore.models

DROP = """
DROP FUNCTION eventstore_append_once(jsonb, jsonb, jsonb);
DROP FUNCTION eventstore_append_open(jsonb, jsonb);
DROP FUNCTION eventstore_append(jsonb, jsonb);
"""

# What every appender does first. A reader sees the lock until the appender's commit is visible.
TAKE_FENCE = """
CREATE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    floor bigint;
BEGIN
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO floor FROM eventstore_position;
    PERFORM pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | floor);
END $$;
"""

# The ordinary append of a command: no list to take apart, and so half the work. NULL: it could not be written, and
# eventstore_append knows why.
APPEND_ONE = """
CREATE FUNCTION eventstore_append_one(
    stream text, version integer, id uuid, type text, schema_version smallint,
    data json, correlation_id uuid, causation_id uuid, metadata json
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    written bigint;
BEGIN
    PERFORM eventstore_take_fence();
    IF version > 1 AND NOT EXISTS (
        SELECT FROM eventstore_event AS before
        WHERE before.stream = eventstore_append_one.stream AND before.version = eventstore_append_one.version - 1
    ) THEN
        RETURN NULL;
    END IF;

    INSERT INTO eventstore_event (
        position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
    )
    VALUES (
        nextval('eventstore_position'), id, stream, version, type, schema_version,
        data, correlation_id, causation_id, metadata
    )
    ON CONFLICT ON CONSTRAINT eventstore_one_event_per_version DO NOTHING
    RETURNING position INTO written;
    IF written IS NOT NULL THEN
        INSERT INTO eventstore_outbox (position, topic, key, type) VALUES (written, 'event', stream, type);
    END IF;
    RETURN written;
END $$;
"""

APPEND = """
CREATE FUNCTION eventstore_append(
    events json, messages json, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    conflict record;
BEGIN
    PERFORM eventstore_take_fence();

    IF events IS NOT NULL THEN
        WITH sent AS MATERIALIZED (
            SELECT * FROM ROWS FROM (json_to_recordset(events) AS (
                stream text, version integer, expected integer, id uuid, type text, schema_version smallint,
                data json, correlation_id uuid, causation_id uuid, metadata json
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
            FROM json_to_recordset(events) AS sent(stream text, version integer, id uuid)
            JOIN eventstore_event stored USING (stream, version, id);
            IF coalesce(cardinality(positions), 0) = json_array_length(events) THEN
                RETURN;
            END IF;
            positions := NULL;
        END IF;

        IF coalesce(cardinality(positions), 0) < json_array_length(events) THEN
            -- What of this append was written is visible here, and does not count.
            SELECT sent.stream, sent.expected, coalesce(last.version, 0) AS actual INTO conflict
            FROM json_to_recordset(events) AS sent(stream text, expected integer)
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
        FROM ROWS FROM (json_to_recordset(messages) AS (
            topic text, key text, type text, id uuid, payload json, metadata json
        )) WITH ORDINALITY AS owed(topic, key, type, id, payload, metadata, place)
        ORDER BY place;
    END IF;
END $$;
"""

# Without knowing the version: a lock on the streams concerned, never a wider one, then the ordinary append.
APPEND_OPEN = """
CREATE FUNCTION eventstore_append_open(
    events json, messages json, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
DECLARE
    each record;
    resolved json;
BEGIN
    -- Sorted, so that two appends over the same streams cannot wait for one another.
    FOR each IN
        SELECT DISTINCT event->>'stream' AS stream FROM json_array_elements(events) AS event
        WHERE (event->>'expected')::integer < 0 ORDER BY 1
    LOOP
        PERFORM pg_advisory_xact_lock(
            (x'E6'::bigint << 48) | (hashtextextended(each.stream, 0) & ((1::bigint << 48) - 1))
        );
    END LOOP;

    SELECT array_agg(stored.position ORDER BY stored.position), array_agg(stored.version ORDER BY stored.position)
    INTO positions, versions
    FROM json_to_recordset(events) AS sent(stream text, id uuid)
    JOIN eventstore_event stored USING (stream, id);
    IF coalesce(cardinality(positions), 0) = json_array_length(events) THEN
        RETURN;
    END IF;

    FOR attempt IN 1..10 LOOP
        FOR each IN
            SELECT event->>'stream' AS stream, (event->>'expected')::integer AS expected
            FROM json_array_elements(events) AS event
            WHERE (event->>'expected')::integer = -2
              AND NOT EXISTS (SELECT FROM eventstore_event WHERE stream = event->>'stream')
        LOOP
            RAISE EXCEPTION 'the stream does not exist' USING ERRCODE = 'ES001',
                DETAIL = json_build_object('stream', each.stream, 'expected', -2, 'actual', 0);
        END LOOP;

        -- A stream whose version is named keeps it.
        SELECT json_agg(json_build_object(
            'stream', sent.stream, 'version', coalesce(sent.version, base.version + sent.step),
            'expected', CASE
                WHEN sent.version IS NOT NULL THEN sent.expected WHEN sent.step = 1 THEN base.version
            END,
            'id', sent.id, 'type', sent.type, 'schema_version', sent.schema_version, 'data', sent.data,
            'correlation_id', sent.correlation_id, 'causation_id', sent.causation_id, 'metadata', sent.metadata
        ) ORDER BY place) INTO resolved
        FROM (
            SELECT *, row_number() OVER (PARTITION BY stream ORDER BY place) AS step
            FROM ROWS FROM (json_to_recordset(events) AS (
                stream text, version integer, expected integer, id uuid, type text, schema_version smallint,
                data json, correlation_id uuid, causation_id uuid, metadata json
            )) WITH ORDINALITY AS sent(
                stream, version, expected, id, type, schema_version,
                data, correlation_id, causation_id, metadata, place
            )
        ) AS sent
        CROSS JOIN LATERAL (
            SELECT coalesce(max(version), 0) AS version FROM eventstore_event WHERE stream = sent.stream
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

APPEND_ONCE = """
CREATE FUNCTION eventstore_append_once(
    answer jsonb, events json, messages json,
    OUT running boolean, OUT earlier text, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql AS $$
BEGIN
    -- Never waits: who is not alone is told so, and the lock goes with the transaction, however that ends.
    running := NOT pg_try_advisory_xact_lock(
        (x'E7'::bigint << 48) | (hashtextextended(answer->>'scope', 0) & ((1::bigint << 48) - 1))
    );
    IF running THEN
        RETURN;
    END IF;

    -- A statement of its own, after the lock: it sees what was committed under the lock before.
    SELECT row_to_json(given) INTO earlier
    FROM eventstore_given_answer AS given
    WHERE given.scope = answer->>'scope';
    IF FOUND THEN
        RETURN;
    END IF;

    IF events IS NOT NULL OR messages IS NOT NULL THEN
        SELECT appended.positions, appended.versions INTO positions, versions
        FROM eventstore_append(events, messages) AS appended;
    END IF;

    -- The position is known only now. A quotation mark within a text has a backslash before it, so this is no text.
    INSERT INTO eventstore_given_answer (scope, fingerprint, status, headers, body)
    SELECT given.scope, given.fingerprint, given.status, given.headers, replace(
        given.body, '"position":null', '"position":' || coalesce(positions[cardinality(positions)], 0)
    )
    FROM jsonb_populate_record(NULL::eventstore_given_answer, answer) AS given;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0016_heartbeats")]

    operations = [
        migrations.RunSQL(DROP, elidable=False),
        migrations.AlterField("event", "data", eventstore.models.AsWritten()),
        migrations.AlterField("event", "metadata", eventstore.models.AsWritten()),
        migrations.AlterField("outboxmessage", "payload", eventstore.models.AsWritten(null=True)),
        migrations.AlterField("outboxmessage", "metadata", eventstore.models.AsWritten(null=True)),
        *(migrations.RunSQL(each) for each in (TAKE_FENCE, APPEND_ONE, APPEND, APPEND_OPEN, APPEND_ONCE)),
    ]
