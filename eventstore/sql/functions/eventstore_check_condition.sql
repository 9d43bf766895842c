-- The events, once their condition are locked and still hold. epoch: of what the condition were read or remembered in;
-- NULL where nothing was.
CREATE OR REPLACE FUNCTION eventstore_check_condition(epoch bigint, condition json, INOUT events json) LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    changed record;
BEGIN
    IF epoch IS NOT NULL AND epoch IS DISTINCT FROM eventstore_mark() THEN
        PERFORM eventstore_epoch_is_over();
    END IF;
    PERFORM eventstore_lock_condition(condition);
    -- A statement of its own, after the locks: it sees what was committed under them before. A condition is the last
    -- version: neither was there a newer one since, nor is it gone.
    SELECT condition.key AS stream, condition.value::integer AS expected, coalesce(newest.version, 0) AS actual INTO changed
    FROM json_each_text(condition) AS condition
    LEFT JOIN LATERAL (
        SELECT event.version
        FROM eventstore_event AS event
        WHERE event.stream = condition.key
        ORDER BY event.version DESC
        LIMIT 1
    ) AS newest ON true
    WHERE CASE condition.value::integer
        WHEN -2 THEN newest.version IS NULL
        ELSE condition.value::integer <> coalesce(newest.version, 0)
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
