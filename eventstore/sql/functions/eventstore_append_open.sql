-- An append without a known version: locks the streams, and nothing more, then appends as usual. A transaction that
-- already has 256 locks tries without a lock first, and takes one after a conflict.
CREATE OR REPLACE FUNCTION eventstore_append_open(
    events json, messages json, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    missing text;
    resolved json;
    locked bigint;
BEGIN
    SELECT eventstore_count_locks(count(DISTINCT stream)) INTO locked
    FROM json_to_recordset(events) AS sent(stream text, expected integer)
    WHERE expected < 0;
    FOR attempt IN 1..50 LOOP
        IF attempt > 1 OR locked <= 256 THEN
            -- Sorted, so that two appends to the same streams cannot deadlock.
            PERFORM pg_advisory_xact_lock((x'E6'::bigint << 48) | (hashtextextended(stream, 0) & ((1::bigint << 48) - 1)))
            FROM (
                SELECT DISTINCT stream FROM json_to_recordset(events) AS sent(stream text, expected integer)
                WHERE expected < 0 ORDER BY 1
            ) AS open;
        END IF;

        -- In one statement, so from one snapshot: which events exist already, and the versions of the streams. A stream
        -- with a given version keeps it.
        SELECT array_agg(stored.position ORDER BY place) FILTER (WHERE stored.position IS NOT NULL),
            array_agg(stored.version ORDER BY place) FILTER (WHERE stored.position IS NOT NULL),
            min(sent.stream) FILTER (WHERE sent.expected = -2 AND base.version = 0),
            json_agg(json_build_object(
                'stream', sent.stream, 'version', coalesce(sent.version, base.version + sent.step),
                'expected', CASE
                    WHEN sent.version IS NOT NULL THEN sent.expected WHEN sent.step = 1 THEN base.version
                END,
                'id', sent.id, 'type', sent.type, 'schema_version', sent.schema_version, 'data', sent.data,
                'correlation_id', sent.correlation_id, 'causation_id', sent.causation_id, 'metadata', sent.metadata
            ) ORDER BY place)
        INTO positions, versions, missing, resolved
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
        ) AS base
        LEFT JOIN LATERAL (
            SELECT position, version FROM eventstore_event AS stored
            WHERE stored.id = sent.id AND stored.stream = sent.stream LIMIT 1
        ) AS stored ON true;

        IF cardinality(positions) = json_array_length(events) THEN
            RETURN;
        END IF;
        IF missing IS NOT NULL THEN
            RAISE EXCEPTION 'the stream does not exist' USING ERRCODE = 'ES001',
                DETAIL = json_build_object('stream', missing, 'expected', -2, 'actual', 0);
        END IF;

        BEGIN
            SELECT appended.positions, appended.versions INTO positions, versions
            FROM eventstore_append(resolved, messages) AS appended;
            RETURN;
        EXCEPTION WHEN SQLSTATE 'ES001' THEN
            -- Only a writer with an exact version, which takes no lock, can cause this conflict.
            IF attempt = 50 THEN
                RAISE;
            END IF;
        END;
    END LOOP;
END $$;
