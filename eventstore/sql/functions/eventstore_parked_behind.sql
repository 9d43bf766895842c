-- Which of these keys have anything behind their position.
--
-- The table is empty most of the time. When its statistics say so and thousands of rows are in it, PostgreSQL takes all of
-- its indexes for equally good; and one that begins with the subscription alone reads all that the subscription has parked for each row
-- that is looked for. Only one index has the rows in the order that is asked for here, and nothing may be sorted nor read
-- from end to end; so that one is taken, whatever is known of the table. See docs/adr/0025-plans-that-hold.md.
CREATE OR REPLACE FUNCTION eventstore_parked_behind(owner text, keys text[], positions bigint[]) RETURNS SETOF text
LANGUAGE plpgsql ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
    SELECT passed.key
    FROM unnest(keys, positions) AS passed(key, place)
    CROSS JOIN LATERAL (
        SELECT
        FROM eventstore_parked AS parked
        WHERE (parked.subscription, parked.key, parked.position) > (owner, passed.key, passed.place)
          AND (parked.subscription, parked.key) <= (owner, passed.key)
        ORDER BY parked.subscription, parked.key, parked.position
        LIMIT 1
    ) AS following;
END $$;
