-- Positions follow the order of the list. Rows are written in the order of streams, so that two appends to the same
-- streams cannot deadlock.
CREATE OR REPLACE FUNCTION eventstore_append(
    events json, messages json, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    passed boolean;
    first bigint;
BEGIN
    IF eventstore_take_fence() IS NULL OR eventstore_mark() IS NULL THEN
        PERFORM eventstore_epoch_is_over();
    END IF;

    IF events IS NOT NULL THEN
        WITH sent AS MATERIALIZED (
            SELECT *, lag(version) OVER (PARTITION BY stream ORDER BY version) AS before
            FROM (
                SELECT nextval('eventstore_position') AS position, *
                FROM json_to_recordset(events) AS given(
                    stream text, version integer, expected integer, id uuid, type text, schema_version smallint,
                    data json, correlation_id uuid, causation_id uuid, metadata json
                )
            ) AS numbered
        ), gaps AS (
            SELECT FROM sent
            WHERE version > 1 AND before IS DISTINCT FROM version - 1 AND NOT EXISTS (
                SELECT FROM eventstore_event AS previous
                WHERE previous.stream = sent.stream AND previous.version = sent.version - 1
            )
        ), written AS (
            INSERT INTO eventstore_event (
                position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
            )
            SELECT position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
            FROM sent
            WHERE NOT EXISTS (SELECT FROM gaps)
            ORDER BY stream, version
            ON CONFLICT DO NOTHING
            RETURNING position, version, stream, type
        ), announced AS (
            INSERT INTO eventstore_outbox (position, topic, key, type)
            SELECT position, 'event', stream, type FROM written
        )
        SELECT array_agg(written.position ORDER BY position), array_agg(written.version ORDER BY position),
            (SELECT min(position) FROM sent),
            EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > (SELECT min(position) FROM sent))
            OR EXISTS (
                SELECT FROM eventstore_subscription AS subscription WHERE subscription.position >= (SELECT min(position) FROM sent)
            )
        INTO positions, versions, first, passed
        FROM written;

        IF positions IS NULL THEN
            -- Either the same events exist already (then this append is a repeat), or another writer was first.
            SELECT array_agg(stored.position ORDER BY place), array_agg(stored.version ORDER BY place)
            INTO positions, versions
            FROM ROWS FROM (json_to_recordset(events) AS (stream text, version integer, id uuid))
                WITH ORDINALITY AS sent(stream, version, id, place)
            JOIN eventstore_event AS stored USING (stream, version, id);
            IF coalesce(cardinality(positions), 0) = json_array_length(events) THEN
                RETURN;
            END IF;
            positions := NULL;
        END IF;
        IF coalesce(cardinality(positions), 0) < json_array_length(events) THEN
            PERFORM eventstore_refuse_events(events, positions, first);
        END IF;
        IF passed THEN
            PERFORM eventstore_refuse_position(first);
        END IF;
    END IF;

    IF messages IS NOT NULL THEN
        WITH written AS (
            INSERT INTO eventstore_outbox (position, topic, key, type, id, payload, metadata)
            SELECT nextval('eventstore_position'), topic, key, type, id, payload, metadata
            FROM ROWS FROM (json_to_recordset(messages) AS (
                topic text, key text, type text, id uuid, payload json, metadata json
            )) WITH ORDINALITY AS outgoing(topic, key, type, id, payload, metadata, place)
            ORDER BY place
            RETURNING position
        )
        SELECT min(written.position),
            EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > min(written.position))
            OR EXISTS (SELECT FROM eventstore_subscription AS subscription WHERE subscription.position >= min(written.position))
        INTO first, passed
        FROM written;
        IF passed THEN
            PERFORM eventstore_refuse_position(first);
        END IF;
    END IF;
END $$;
