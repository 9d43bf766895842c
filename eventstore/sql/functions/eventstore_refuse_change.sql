-- The log's guard. To change the log anyway, disable the trigger (ALTER TABLE ... DISABLE TRIGGER); the doctor reports
-- that.
CREATE OR REPLACE FUNCTION eventstore_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Events are never changed or removed (% refused).', TG_OP USING ERRCODE = 'ES002',
        HINT = CASE WHEN TG_OP = 'TRUNCATE' THEN
            'A test that commits calls eventstore.testing.let_django_truncate() before Django empties its tables.' ELSE '' END;
END $$;
