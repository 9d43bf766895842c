-- For a statement that relies on a cache from the epoch with that mark.
CREATE OR REPLACE FUNCTION eventstore_demand_epoch(remembered bigint) RETURNS boolean LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM eventstore_epoch_mark WHERE mark = remembered) THEN
        PERFORM eventstore_epoch_is_over();
    END IF;
    RETURN true;
END $$;
