-- Those of the subscriptions that have a parked message that is due.
--
-- The table is empty most of the time. If its statistics say so while it has thousands of rows, PostgreSQL considers all
-- its indexes equally good. With one that only begins with the subscription, it would read all parked messages of the
-- subscription for each row that it looks for. Only one index has the rows in the order of this query, and sorting and
-- sequential scans are disabled. So PostgreSQL uses that index, whatever the statistics say. See
-- docs/adr/0025-plans-that-hold.md.
CREATE OR REPLACE FUNCTION eventstore_subscriptions_due(names text[]) RETURNS SETOF text LANGUAGE plpgsql ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT wanted.subscription
    FROM unnest(names) AS wanted(subscription)
    CROSS JOIN LATERAL (
        SELECT
        FROM eventstore_parked AS parked
        WHERE parked.subscription = wanted.subscription AND parked.due_at <= now()
        ORDER BY parked.subscription, parked.due_at
        LIMIT 1
    ) AS due;
END $$;
