-- A lock of any number that is no higher than the sequence's last value is right, if it is taken before a position is.
-- So the third append of a transaction takes the lock of the second once more, which needs no memory, instead of one of
-- its own. The number is remembered by a setting that lives as long as the lock does: a savepoint that is rolled back
-- takes back both. Nothing rests on the setting but the number of locks: what it says is bounded, and the lock is taken.
--
-- The first append of a transaction, before which nothing was written, remembers nothing: mostly there is no second one.
CREATE OR REPLACE FUNCTION eventstore_first_fence(last bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    first text;
BEGIN
    first := current_setting('eventstore.first_fence', true);
    IF first IS NULL OR first = '' THEN
        first := set_config('eventstore.first_fence', last::text, true);
    END IF;
    RETURN greatest(0, least(first::bigint, last));
END $$;
