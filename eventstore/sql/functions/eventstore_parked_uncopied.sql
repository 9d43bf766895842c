-- The dead letters of a subscription that were not copied to a dead-letter topic since they last failed.
--
-- Only the index of the uncopied has the rows in the order of this query, and sorting and sequential scans are disabled.
-- See eventstore_parked_due.sql.
CREATE OR REPLACE FUNCTION eventstore_parked_uncopied(owner text, most bigint) RETURNS SETOF bigint
LANGUAGE plpgsql ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT parked.id
    FROM eventstore_parked AS parked
    WHERE parked.subscription = owner AND parked.status = 'dead' AND parked.copied < parked.attempts
    ORDER BY parked.subscription, parked.attempts, parked.position
    LIMIT most;
END $$;
