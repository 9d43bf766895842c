-- The most common append: one event, so there is no list to unpack, which is half the work. NULL: not written;
-- eventstore_append finds out why.
--
-- The position is drawn before the insert, because a call of a volatile function within it costs more. So the snapshot of
-- the insert is younger than the position, and the insert checks three things:
-- * No cursor is at the position or after it. None passes our fence, so such a cursor is always an error.
-- * No event is after it. Another appender may have drawn and committed in between, so we return NULL: eventstore_append
--   draws within its statement, and can tell that from a sequence that is behind.
-- * The epoch has a mark, from which the row to insert comes, and the position lies above the epoch's first one. Otherwise
--   it was drawn before the epoch began, and may have been given to an event that was lost.
-- The first two begin at the position, where the indexes are empty.
CREATE OR REPLACE FUNCTION eventstore_append_one(
    stream text, version integer, id uuid, type text, schema_version smallint,
    data json, correlation_id uuid, causation_id uuid, metadata json
) RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT SET enable_seqscan = off AS $$
DECLARE
    given bigint;
BEGIN
    IF version > 1 THEN
        IF NOT EXISTS (
            SELECT FROM eventstore_event AS before
            WHERE before.stream = eventstore_append_one.stream AND before.version = eventstore_append_one.version - 1
        ) THEN
            RETURN NULL;
        END IF;
    END IF;

    given := CASE WHEN eventstore_take_fence() IS NOT NULL THEN nextval('eventstore_position') END;
    INSERT INTO eventstore_event (
        position, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
    )
    SELECT given, id, stream, version, type, schema_version, data, correlation_id, causation_id, metadata
    FROM eventstore_epoch_mark AS epoch
    WHERE epoch.first < given
      AND NOT EXISTS (SELECT FROM eventstore_subscription AS subscription WHERE subscription.position >= given)
      AND NOT EXISTS (SELECT FROM eventstore_event AS later WHERE later.position > given)
    ON CONFLICT DO NOTHING;
    IF FOUND THEN
        INSERT INTO eventstore_outbox (position, topic, key, type) VALUES (given, 'event', stream, type);
        RETURN given;
    END IF;
    IF EXISTS (SELECT FROM eventstore_subscription AS subscription WHERE subscription.position >= given) THEN
        PERFORM eventstore_refuse_position(given);
    END IF;
    RETURN NULL;
END $$;
