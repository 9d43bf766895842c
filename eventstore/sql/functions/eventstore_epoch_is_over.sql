-- For use in an expression, which cannot raise an error itself.
CREATE OR REPLACE FUNCTION eventstore_epoch_is_over() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'another epoch of the log' USING ERRCODE = 'ES005';
END $$;
