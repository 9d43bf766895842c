-- For who locks a lane: a function looks anew, where the statement that locks may see what was before the lock. One look
-- into the lane's own index, however much others have parked.
CREATE OR REPLACE FUNCTION eventstore_has_parked(lane text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT position FROM eventstore_parked
        WHERE subscription = lane
        ORDER BY subscription, position
        LIMIT 1
    ) IS NOT NULL;
END $$;
