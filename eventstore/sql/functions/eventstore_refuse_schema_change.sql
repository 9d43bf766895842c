-- The guard of the schema registry: an id in a message must mean the same text for ever.
CREATE OR REPLACE FUNCTION eventstore_refuse_schema_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Registered schemas are never changed or removed (% refused).', TG_OP USING ERRCODE = 'ES006',
        HINT = CASE WHEN TG_OP = 'TRUNCATE' THEN
            'A test that commits calls eventstore.testing.let_django_truncate() before Django empties its tables.' ELSE '' END;
END $$;
