-- A transaction of many streams would fill the server's table of locks, and then all others are refused. So what it has
-- locked is counted, by a setting that is rolled back with the locks.
CREATE OR REPLACE FUNCTION eventstore_count_locks(more bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    locked bigint;
BEGIN
    locked := more + greatest(0, coalesce(nullif(current_setting('eventstore.locked', true), '')::bigint, 0));
    IF now() <> statement_timestamp() OR pg_current_xact_id_if_assigned() IS NOT NULL THEN
        PERFORM set_config('eventstore.locked', locked::text, true);
    END IF;
    RETURN locked;
END $$;
