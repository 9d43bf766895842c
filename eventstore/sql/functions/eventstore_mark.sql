-- In PL/pgSQL, which caches its plan; an SQL function would be planned in each statement.
CREATE OR REPLACE FUNCTION eventstore_mark() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT mark FROM eventstore_epoch_mark);
END $$;
