-- The ids of what a subscription has parked at these positions.
--
-- The table is empty most of the time. When its statistics say so and thousands of rows are in it, PostgreSQL takes all of
-- its indexes for equally good; and one that begins with the subscription alone reads all that the subscription has parked for each row
-- that is looked for. Only one index has the rows in the order that is asked for here, and nothing may be sorted nor read
-- from end to end; so that one is taken, whatever is known of the table. See docs/adr/0025-plans-that-hold.md.
CREATE OR REPLACE FUNCTION eventstore_parked_at(owner text, positions bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT found.id
    FROM unnest(positions) AS wanted(place)
    CROSS JOIN LATERAL (
        SELECT parked.id
        FROM eventstore_parked AS parked
        WHERE (parked.subscription, parked.position) >= (owner, place)
          AND (parked.subscription, parked.position) <= (owner, place)
        ORDER BY parked.subscription, parked.position
        LIMIT 1
    ) AS found;
END $$;
