-- condition: stream -> the version that must be its last one (-2: any, but the stream is there), or null for a stream
-- that this append writes. Two appends that are each decided on a stream which the other one writes must not both come
-- through. So each holds the streams that it writes against those that read them until its commit, and looks only then.
-- Who reads the same stream, such as a product of the catalogue, shares it; an append without condition takes no lock.
--
-- A transaction that has locked many streams locks all of them at once instead, by a number that others only share.
CREATE OR REPLACE FUNCTION eventstore_lock_condition(condition json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    -- A condition has 11 characters at least: few need not be counted.
    IF octet_length(condition::text) > 16 * 11 OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
        IF (SELECT eventstore_count_locks(count(*)) > 256 FROM json_object_keys(condition)) THEN
            taken := pg_advisory_xact_lock(x'E8'::bigint << 48);
            RETURN;
        END IF;
    END IF;
    taken := pg_advisory_xact_lock_shared(x'E8'::bigint << 48);
    -- Sorted, so that two appends cannot wait for one another; and what is written first, where two streams have a number.
    PERFORM CASE WHEN alone THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END
    FROM (
        SELECT (x'E8'::bigint << 48) | (hashtextextended(key, 0) & ((1::bigint << 48) - 1)) AS key, value IS NULL AS alone
        FROM json_each_text(condition)
        ORDER BY 1, 2 DESC
    ) AS locks;
END $$;
