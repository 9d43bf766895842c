-- The ordinary append of a command: no list to take apart, and so half the work. NULL: it could not be written, and
-- eventstore_append knows why.
--
-- Whatever this statement sees in the log has a lower position than the one that it is given, and so has every cursor,
-- for none passes our fence. Both are looked for from that position on, where there is nothing to walk along; so much
-- costs a tenth of what the server does. One statement in place of two gives a third of that back.
CREATE OR REPLACE FUNCTION eventstore_append_one(
    stream text, version integer, id uuid, type text, schema_version smallint,
    data json, correlation_id uuid, causation_id uuid, metadata json
) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    written bigint;
    passed boolean;
    taken text;
BEGIN
    taken := eventstore_take_fence();
    IF version > 1 THEN
        IF NOT EXISTS (
            SELECT FROM eventstore_event AS before
            WHERE before.stream = eventstore_append_one.stream AND before.version = eventstore_append_one.version - 1
        ) THEN
            RETURN NULL;
        END IF;
    END IF;

    WITH written AS (
        INSERT INTO eventstore_event (
            position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
        )
        VALUES (
            nextval('eventstore_position'), id, stream, version, type, schema_version,
            data, correlation_id, causation_id, metadata
        )
        ON CONFLICT DO NOTHING
        RETURNING eventstore_event.position
    )
    INSERT INTO eventstore_outbox AS owed (position, topic, key, type)
    SELECT written.position, 'event', stream, type FROM written
    RETURNING owed.position,
        EXISTS (SELECT FROM eventstore_subscription AS subscription WHERE subscription.position >= owed.position)
        OR EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > owed.position)
    INTO written, passed;
    IF passed THEN
        PERFORM eventstore_refuse_position(written);
    END IF;
    RETURN written;
END $$;
