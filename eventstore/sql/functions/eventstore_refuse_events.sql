-- Raises the error for a list of events that could not be written, or not completely. written: the positions that were
-- written, to be ignored.
CREATE OR REPLACE FUNCTION eventstore_refuse_events(events json, written bigint[], given bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    conflict record;
BEGIN
    SELECT sent.stream, sent.expected, coalesce(last.version, 0) AS actual INTO conflict
    FROM json_to_recordset(events) AS sent(stream text, expected integer)
    LEFT JOIN LATERAL (
        SELECT stored.version FROM eventstore_event AS stored
        WHERE stored.stream = sent.stream AND stored.position <> ALL (coalesce(written, '{}'))
        ORDER BY stored.version DESC
        LIMIT 1
    ) AS last ON true
    WHERE sent.expected IS NOT NULL AND sent.expected <> coalesce(last.version, 0)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(conflict);
    END IF;

    SELECT sent.id INTO conflict
    FROM json_to_recordset(events) AS sent(id uuid)
    LEFT JOIN eventstore_event AS stored ON stored.id = sent.id AND stored.position <> ALL (coalesce(written, '{}'))
    GROUP BY sent.id
    HAVING count(*) > 1 OR count(stored.id) > 0
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the event id % is taken (eventstore_event_id)', conflict.id USING ERRCODE = 'unique_violation';
    END IF;

    SELECT sent.stream, sent.version INTO conflict
    FROM json_to_recordset(events) AS sent(stream text, version integer)
    WHERE sent.version IS DISTINCT FROM 1
      AND NOT EXISTS (
        SELECT FROM json_to_recordset(events) AS before(stream text, version integer)
        WHERE before.stream = sent.stream AND before.version = sent.version - 1
      )
      AND NOT EXISTS (
        SELECT FROM eventstore_event AS before
        WHERE before.stream = sent.stream AND before.version = sent.version - 1
      )
      OR (
        SELECT count(*) > 1 FROM json_to_recordset(events) AS twice(stream text, version integer)
        WHERE twice.stream = sent.stream AND twice.version = sent.version
      )
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'version % of % does not follow the one before it', conflict.version, conflict.stream
            USING ERRCODE = 'ES013';
    END IF;

    PERFORM eventstore_refuse_position(given);
END $$;
