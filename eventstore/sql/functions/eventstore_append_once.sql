-- An append together with the response to its request, unless a response with the same scope is stored.
CREATE OR REPLACE FUNCTION eventstore_append_once(
    answer jsonb, events json, messages json,
    OUT running boolean, OUT earlier text, OUT positions bigint[], OUT versions integer[]
) LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    last bigint;
BEGIN
    -- Never waits: a second transaction gets running = true. The lock ends with the transaction.
    running := NOT pg_try_advisory_xact_lock(
        (x'E7'::bigint << 48) | (hashtextextended(answer->>'scope', 0) & ((1::bigint << 48) - 1))
    );
    IF running THEN
        RETURN;
    END IF;

    -- A separate statement after the lock, so that it sees what was committed under the lock before.
    SELECT row_to_json(given) INTO earlier
    FROM eventstore_stored_response AS given
    WHERE given.scope = answer->>'scope';
    IF FOUND THEN
        RETURN;
    END IF;

    -- The fast path for the most common append. If it returns NULL, eventstore_append finds out why.
    IF messages IS NULL AND json_array_length(events) = 1 THEN
        SELECT ARRAY[eventstore_append_one(
            stream, version, id, type, schema_version, data, correlation_id, causation_id, metadata
        )], ARRAY[version] INTO positions, versions
        FROM json_to_record(events->0) AS sent(
            stream text, version integer, id uuid, type text, schema_version smallint,
            data json, correlation_id uuid, causation_id uuid, metadata json
        );
    END IF;
    IF positions[1] IS NULL AND (events IS NOT NULL OR messages IS NOT NULL) THEN
        SELECT appended.positions, appended.versions INTO positions, versions
        FROM eventstore_append(events, messages) AS appended;
    END IF;

    -- The position is known only now. Inside a JSON string, a quotation mark has a backslash before it, so the replaced
    -- text is never part of a string.
    last := positions[1];
    IF cardinality(positions) > 1 THEN
        SELECT max(position) INTO last FROM unnest(positions) AS position;
    END IF;
    INSERT INTO eventstore_stored_response (scope, fingerprint, status, headers, body)
    SELECT given.scope, given.fingerprint, given.status, given.headers, replace(
        given.body, '"position":null', '"position":' || coalesce(last, 0)
    )
    FROM jsonb_populate_record(NULL::eventstore_stored_response, answer) AS given;
END $$;
