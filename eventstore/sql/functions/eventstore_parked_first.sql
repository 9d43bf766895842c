-- The first of a subscription, in the order of the log.
--
-- The table is empty most of the time. When its statistics say so and thousands of rows are in it, PostgreSQL takes all of
-- its indexes for equally good; and one that begins with the subscription alone reads all that the subscription has parked for each row
-- that is looked for. Only one index has the rows in the order that is asked for here, and nothing may be sorted nor read
-- from end to end; so that one is taken, whatever is known of the table. See docs/adr/0025-plans-that-hold.md.
CREATE OR REPLACE FUNCTION eventstore_parked_first(owner text, OUT place bigint, OUT at timestamptz) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    SELECT parked.position, parked.parked_at INTO place, at
    FROM eventstore_parked AS parked
    WHERE parked.subscription = owner
    ORDER BY parked.subscription, parked.position
    LIMIT 1;
END $$;
