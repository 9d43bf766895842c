"""What is parked is found by functions that know which index they mean.

The table is empty most of the time. When its statistics say so and thousands of rows are in it, PostgreSQL takes all of
its indexes for equally good, whatever a statement says; and one that begins with the lane alone reads all that the lane
has parked for each row that is looked for. Only one index has the rows in the order that each query here asks for, and
within these functions nothing may be sorted nor read from end to end; so that one is taken, whatever is known of the
table. The settings hold for the function and end with it. See docs/adr/0025-plans-that-hold.md.
"""

from django.db import migrations

PINNED = """
    SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off SET enable_incremental_sort = off
    SET plan_cache_mode = force_generic_plan
"""

# The ids of what a lane has parked at these positions.
AT = f"""
CREATE FUNCTION eventstore_parked_at(lane text, positions bigint[]) RETURNS SETOF bigint
LANGUAGE plpgsql ROWS 10 {PINNED} AS $$
BEGIN
    RETURN QUERY
    SELECT found.id
    FROM unnest(positions) AS wanted(place)
    CROSS JOIN LATERAL (
        SELECT parked.id
        FROM eventstore_parked AS parked
        WHERE (parked.subscription, parked.position) >= (lane, place)
          AND (parked.subscription, parked.position) <= (lane, place)
        ORDER BY parked.subscription, parked.position
        LIMIT 1
    ) AS found;
END $$;
"""
# The first that waits under each of these keys, those at some positions left out; from one to the next along the index.
HEADS = f"""
CREATE FUNCTION eventstore_parked_heads(lane text, keys text[], without bigint[] DEFAULT '{{}}')
RETURNS TABLE (id bigint, key text, place bigint) LANGUAGE plpgsql ROWS 10 {PINNED} AS $$
BEGIN
    RETURN QUERY
    WITH RECURSIVE walk AS (
        SELECT found.id, found.key, found.position
        FROM unnest(keys) AS wanted(key)
        CROSS JOIN LATERAL (
            SELECT parked.id, parked.key, parked.position
            FROM eventstore_parked AS parked
            WHERE (parked.subscription, parked.key) >= (lane, wanted.key)
              AND (parked.subscription, parked.key) <= (lane, wanted.key)
            ORDER BY parked.subscription, parked.key, parked.position
            LIMIT 1
        ) AS found
        UNION ALL
        SELECT following.id, following.key, following.position
        FROM walk
        CROSS JOIN LATERAL (
            SELECT parked.id, parked.key, parked.position
            FROM eventstore_parked AS parked
            WHERE (parked.subscription, parked.key, parked.position) > (lane, walk.key, walk.position)
              AND (parked.subscription, parked.key) <= (lane, walk.key)
            ORDER BY parked.subscription, parked.key, parked.position
            LIMIT 1
        ) AS following
        WHERE walk.position IN (SELECT unnest(without))
    )
    SELECT walk.id, walk.key, walk.position
    FROM walk
    WHERE walk.position NOT IN (SELECT unnest(without));
END $$;
"""
# Which of these keys have anything behind their position.
BEHIND = f"""
CREATE FUNCTION eventstore_parked_behind(lane text, keys text[], positions bigint[]) RETURNS SETOF text
LANGUAGE plpgsql ROWS 10 {PINNED} AS $$
BEGIN
    RETURN QUERY
    SELECT passed.key
    FROM unnest(keys, positions) AS passed(key, place)
    CROSS JOIN LATERAL (
        SELECT
        FROM eventstore_parked AS parked
        WHERE (parked.subscription, parked.key, parked.position) > (lane, passed.key, passed.place)
          AND (parked.subscription, parked.key) <= (lane, passed.key)
        ORDER BY parked.subscription, parked.key, parked.position
        LIMIT 1
    ) AS following;
END $$;
"""
# What is due of a lane, the longest due first.
DUE = f"""
CREATE FUNCTION eventstore_parked_due(lane text, most bigint) RETURNS SETOF bigint
LANGUAGE plpgsql ROWS 10 {PINNED} AS $$
BEGIN
    RETURN QUERY
    SELECT parked.id
    FROM eventstore_parked AS parked
    WHERE parked.subscription = lane AND parked.due_at <= now()
    ORDER BY parked.subscription, parked.due_at
    LIMIT most;
END $$;
"""
# Those of the lanes for which something is due.
LANES_DUE = f"""
CREATE FUNCTION eventstore_lanes_due(lanes text[]) RETURNS SETOF text LANGUAGE plpgsql ROWS 10 {PINNED} AS $$
BEGIN
    RETURN QUERY
    SELECT wanted.lane
    FROM unnest(lanes) AS wanted(lane)
    CROSS JOIN LATERAL (
        SELECT
        FROM eventstore_parked AS parked
        WHERE parked.subscription = wanted.lane AND parked.due_at <= now()
        ORDER BY parked.subscription, parked.due_at
        LIMIT 1
    ) AS due;
END $$;
"""
# The first of a lane, in the order of the log.
FIRST = f"""
CREATE FUNCTION eventstore_parked_first(lane text, OUT place bigint, OUT at timestamptz) LANGUAGE plpgsql {PINNED} AS $$
BEGIN
    SELECT parked.position, parked.parked_at INTO place, at
    FROM eventstore_parked AS parked
    WHERE parked.subscription = lane
    ORDER BY parked.subscription, parked.position
    LIMIT 1;
END $$;
"""
FUNCTIONS = {
    "eventstore_parked_at(text, bigint[])": AT,
    "eventstore_parked_heads(text, text[], bigint[])": HEADS,
    "eventstore_parked_behind(text, text[], bigint[])": BEHIND,
    "eventstore_parked_due(text, bigint)": DUE,
    "eventstore_lanes_due(text[])": LANES_DUE,
    "eventstore_parked_first(text)": FIRST,
}


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0030_where_a_left_command_waits")]
    operations = [migrations.RunSQL(made, f"DROP FUNCTION {name}") for name, made in FUNCTIONS.items()]
