-- For who locks a subscription: a function looks anew, where the statement that locks may see what was before the lock. One look
-- into the subscription's own index, however much others have parked.
CREATE OR REPLACE FUNCTION eventstore_has_parked(owner text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT position FROM eventstore_parked
        WHERE subscription = owner
        ORDER BY subscription, position
        LIMIT 1
    ) IS NOT NULL;
END $$;
