-- A transaction with many streams could fill the server's lock table, and other transactions would fail. So its locks
-- are counted, in a setting that is rolled back together with the locks.
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
