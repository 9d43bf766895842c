-- The first parked message of each of these keys, without those at some positions; steps along the index.
--
-- The table is empty most of the time. If its statistics say so while it has thousands of rows, PostgreSQL considers all
-- its indexes equally good. With one that only begins with the subscription, it would read all parked messages of the
-- subscription for each row that it looks for. Only one index has the rows in the order of this query, and sorting and
-- sequential scans are disabled. So PostgreSQL uses that index, whatever the statistics say. See
-- docs/adr/0025-plans-that-hold.md.
CREATE OR REPLACE FUNCTION eventstore_parked_heads(owner text, keys text[], without bigint[] DEFAULT '{}')
RETURNS TABLE (id bigint, key text, place bigint) LANGUAGE plpgsql ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE walk AS (
        SELECT found.id, found.key, found.position
        FROM unnest(keys) AS wanted(key)
        CROSS JOIN LATERAL (
            SELECT parked.id, parked.key, parked.position
            FROM eventstore_parked AS parked
            WHERE (parked.subscription, parked.key) >= (owner, wanted.key)
              AND (parked.subscription, parked.key) <= (owner, wanted.key)
            ORDER BY parked.subscription, parked.key, parked.position
            LIMIT 1
        ) AS found
        UNION ALL
        SELECT following.id, following.key, following.position
        FROM walk
        CROSS JOIN LATERAL (
            SELECT parked.id, parked.key, parked.position
            FROM eventstore_parked AS parked
            WHERE (parked.subscription, parked.key, parked.position) > (owner, walk.key, walk.position)
              AND (parked.subscription, parked.key) <= (owner, walk.key)
            ORDER BY parked.subscription, parked.key, parked.position
            LIMIT 1
        ) AS following
        WHERE walk.position IN (SELECT unnest(without))
    )
    SELECT walk.id, walk.key, walk.position
    FROM walk
    WHERE walk.position NOT IN (SELECT unnest(without));
END $$;
