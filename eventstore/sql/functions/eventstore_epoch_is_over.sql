-- For a condition, which cannot raise by itself.
CREATE OR REPLACE FUNCTION eventstore_epoch_is_over() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'another epoch of the log' USING ERRCODE = 'ES005';
END $$;
