-- The log's guard. Who means to change the log says so to the table (ALTER TABLE ... DISABLE TRIGGER), where the doctor
-- sees it.
CREATE OR REPLACE FUNCTION eventstore_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Events are never changed or removed (% refused).', TG_OP USING ERRCODE = 'ES002';
END $$;
