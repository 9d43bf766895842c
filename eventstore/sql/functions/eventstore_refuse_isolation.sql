-- Our own SQLSTATEs begin with ES; eventstore/log/errors.py and eventstore/postgres/connection.py translate them.
CREATE OR REPLACE FUNCTION eventstore_refuse_isolation() RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'an append needs the isolation read committed, not %', current_setting('transaction_isolation')
        USING ERRCODE = 'ES003', HINT = 'Begin the transaction as READ COMMITTED.';
END $$;
