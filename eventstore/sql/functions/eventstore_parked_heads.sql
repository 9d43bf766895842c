-- The first that waits under each of these keys, those at some positions left out; from one to the next along the index.
--
-- The table is empty most of the time. When its statistics say so and thousands of rows are in it, PostgreSQL takes all of
-- its indexes for equally good; and one that begins with the subscription alone reads all that the subscription has parked for each row
-- that is looked for. Only one index has the rows in the order that is asked for here, and nothing may be sorted nor read
-- from end to end; so that one is taken, whatever is known of the table. See docs/adr/0025-plans-that-hold.md.
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
