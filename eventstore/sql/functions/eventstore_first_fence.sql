-- A lock with any number up to the sequence's last value is correct, if it is taken before the position. So the third
-- append of a transaction takes the lock of the second one again, which needs no memory, instead of a lock of its own.
-- The number is stored in a setting that lives as long as the lock: rolling back to a savepoint reverts both. Only the
-- number of locks depends on the setting, not correctness: its value is bounded, and the lock is taken anyway.
--
-- The first append of a transaction that has written nothing before stores nothing: mostly there is no second one.
CREATE OR REPLACE FUNCTION eventstore_first_fence(last bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first text;
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        PERFORM eventstore_refuse_isolation();
    END IF;
    first := current_setting('eventstore.first_fence', true);
    IF first IS NULL OR first = '' THEN
        first := set_config('eventstore.first_fence', last::text, true);
    END IF;
    RETURN greatest(0, least(first::bigint, last));
END $$;
