-- In PL/pgSQL, which keeps its plan: in SQL it would be planned anew in each statement.
CREATE OR REPLACE FUNCTION eventstore_mark() RETURNS bigint LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN (SELECT mark FROM eventstore_epoch_mark);
END $$;
