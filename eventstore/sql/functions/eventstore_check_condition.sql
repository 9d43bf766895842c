-- Returns the events after locking and checking their condition. epoch: in which the condition was read or cached; NULL
-- where nothing was.
CREATE OR REPLACE FUNCTION eventstore_check_condition(epoch bigint, condition json, INOUT events json) LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    changed record;
BEGIN
    IF epoch IS NOT NULL AND epoch IS DISTINCT FROM eventstore_mark() THEN
        PERFORM eventstore_epoch_is_over();
    END IF;
    PERFORM eventstore_lock_condition(condition);
    -- A separate statement after the locks, so that it sees what was committed under them before. A condition is the last
    -- version of a stream: no newer one was written since, and it was not lost.
    SELECT required.key AS stream, required.value::integer AS expected, coalesce(newest.version, 0) AS actual INTO changed
    FROM json_each_text(condition) AS required
    LEFT JOIN LATERAL (
        SELECT event.version
        FROM eventstore_event AS event
        WHERE event.stream = required.key
        ORDER BY event.version DESC
        LIMIT 1
    ) AS newest ON true
    WHERE CASE required.value::integer
        WHEN -2 THEN newest.version IS NULL
        ELSE required.value::integer <> coalesce(newest.version, 0)
    END
    LIMIT 1;
    -- A repeat after a lost connection was checked at the first attempt.
    IF FOUND AND NOT EXISTS (
        SELECT FROM json_to_recordset(events) AS sent(stream text, version integer, id uuid)
        JOIN eventstore_event USING (stream, id)
    ) THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(changed);
    END IF;
END $$;
