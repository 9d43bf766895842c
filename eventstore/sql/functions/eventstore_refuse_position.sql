-- The sequence is behind: a position that it returned is already used, or a cursor has passed it.
CREATE OR REPLACE FUNCTION eventstore_refuse_position(given bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    reached bigint;
BEGIN
    SELECT greatest(
        (SELECT max(position) FROM eventstore_event),
        (SELECT max(position) FROM eventstore_outbox),
        (SELECT max(position) FROM eventstore_subscription)
    ) INTO reached;
    RAISE EXCEPTION 'the sequence eventstore_position gave out %, and % is read or used already', given, reached
        USING ERRCODE = 'ES011', HINT = 'manage.py restart_sequence',
              DETAIL = json_build_object('position', given, 'reached', reached);
END $$;
