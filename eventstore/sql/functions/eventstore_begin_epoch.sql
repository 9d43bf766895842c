-- Begin the next epoch, unless the current one is not the one that the caller thinks is over: then another process has
-- begun it. Returns the mark of the current epoch. whole: events after this position may be incomplete.
CREATE OR REPLACE FUNCTION eventstore_begin_epoch(over bigint, reason text, detail text, whole bigint DEFAULT NULL)
RETURNS bigint LANGUAGE plpgsql
SECURITY DEFINER SET search_path FROM CURRENT AS $$
DECLARE
    standing bigint;
    before integer;
    began eventstore_epoch;
    latest timestamptz;
BEGIN
    PERFORM pg_advisory_xact_lock(x'E9'::bigint << 48);
    standing := eventstore_mark();
    IF standing IS NOT NULL AND standing IS DISTINCT FROM over THEN
        RETURN standing;
    END IF;
    began.number := coalesce((SELECT max(number) FROM eventstore_epoch), 0) + 1;
    -- Random: practically never 0 and never an earlier one.
    began.mark := hashtextextended(gen_random_uuid()::text, 0);
    SELECT coalesce(max(position), 0) INTO began.last FROM eventstore_event;
    -- A worker moves a cursor only past committed events, and commits later than they did. So if a cursor's position is
    -- here, all events up to it are here.
    SELECT coalesce(max(position), 0) INTO began.intact FROM eventstore_subscription;
    began.intact := least(began.intact, began.last, coalesce(whole, began.last));
    began.first := greatest(
        began.last, (SELECT max(position) FROM eventstore_outbox), (SELECT max(position) FROM eventstore_subscription),
        (SELECT max(first) FROM eventstore_epoch), (SELECT last_value FROM eventstore_position),
        -- No position of a lost event is used again, however many were lost: since 2026, no log has had 20,000 positions
        -- a second on average. Enough for 400 years.
        extract(epoch FROM clock_timestamp() - '2026-01-01Z'::timestamptz)::bigint * 20000
    );
    IF began.number = 1 THEN
        began.intact := 0; began.last := 0; began.first := 0;
    ELSE
        PERFORM setval('eventstore_position', began.first);
    END IF;
    SELECT greatest(
        (SELECT max(at) FROM eventstore_heartbeat), (SELECT max(moved_at) FROM eventstore_subscription),
        (SELECT recorded_at FROM eventstore_event ORDER BY position DESC LIMIT 1)
    ) INTO latest;
    INSERT INTO eventstore_epoch (
        number, mark, reason, detail, silent, intact, last, first, system_identifier, database, timeline
    )
    SELECT began.number, began.mark, eventstore_begin_epoch.reason, eventstore_begin_epoch.detail,
           greatest(clock_timestamp() - latest, '0'), began.intact, began.last, began.first,
           place.system_identifier, place.database, place.timeline
    FROM eventstore_place() AS place;
    DELETE FROM eventstore_epoch_mark;
    INSERT INTO eventstore_epoch_mark (mark, first) VALUES (began.mark, began.first);
    RETURN began.mark;
END $$;
