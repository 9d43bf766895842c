-- For readers of the fence.
CREATE OR REPLACE FUNCTION eventstore_demand_read_committed() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- In PostgreSQL, "read uncommitted" is another name for "read committed".
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'the event log is neither read nor written in a % transaction',
            current_setting('transaction_isolation')
            USING ERRCODE = 'ES003', HINT = 'Begin the transaction as READ COMMITTED.';
    END IF;
END $$;
