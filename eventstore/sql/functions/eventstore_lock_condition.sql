-- condition: stream -> the version that must be its last one (-2: the stream must exist), or null for a stream that this
-- append writes. If two appends are each decided on a stream that the other one writes, only one may succeed. So an
-- append takes exclusive locks on the streams that it writes and shared locks on those that it only read, until its
-- commit, and checks versions after that. Readers of the same stream, such as a product of the catalogue, share its lock.
-- An append without a condition takes no lock.
--
-- A transaction with many locks takes one lock for all streams instead, whose number other appends only share.
CREATE OR REPLACE FUNCTION eventstore_lock_condition(condition json) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    taken text;
BEGIN
    -- An entry has at least 11 characters: a short condition need not be counted.
    IF octet_length(condition::text) > 16 * 11 OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
        IF (SELECT eventstore_count_locks(count(*)) > 256 FROM json_object_keys(condition)) THEN
            taken := pg_advisory_xact_lock(x'E8'::bigint << 48);
            RETURN;
        END IF;
    END IF;
    taken := pg_advisory_xact_lock_shared(x'E8'::bigint << 48);
    -- Sorted, so that two appends cannot deadlock; the exclusive lock first where two streams have the same number.
    PERFORM CASE WHEN alone THEN pg_advisory_xact_lock(key) ELSE pg_advisory_xact_lock_shared(key) END
    FROM (
        SELECT (x'E8'::bigint << 48) | (hashtextextended(key, 0) & ((1::bigint << 48) - 1)) AS key, value IS NULL AS alone
        FROM json_each_text(condition)
        ORDER BY 1, 2 DESC
    ) AS locks;
END $$;
