-- The high-water mark: no event can appear at or below this position later. See eventstore_take_fence.
--
-- In a transaction with one snapshot, the snapshot is older than the fence, so a reader would skip events. A standby has
-- the sequence of its primary, but not the locks.
CREATE OR REPLACE FUNCTION eventstore_fence() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    demanded text;
    last bigint;
    floor bigint;
BEGIN
    demanded := eventstore_demand_read_committed();
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'a standby does not know which appends are under way'
            USING ERRCODE = 'ES004', HINT = 'Ask the primary.';
    END IF;
    -- The order of these two statements is essential: first the sequence, then the locks.
    SELECT CASE WHEN is_called THEN last_value ELSE 0 END INTO last FROM eventstore_position;
    SELECT min(((classid::bigint << 32) | objid::bigint) & ((1::bigint << 48) - 1)) INTO floor
    FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 1 AND granted
      AND classid::bigint >> 16 = x'E5'::bigint
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database());
    RETURN least(last, coalesce(floor, last));
END $$;
