-- For the statement that locks a subscription: a function has a new snapshot, while the statement itself may see the
-- state before the lock. One index lookup, however many messages other subscriptions have parked.
CREATE OR REPLACE FUNCTION eventstore_has_parked(owner text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT position FROM eventstore_parked
        WHERE subscription = owner
        ORDER BY subscription, position
        LIMIT 1
    ) IS NOT NULL;
END $$;
