-- Locks those of the subscriptions that have nothing to do: not paused, not held by another worker, nothing parked, and
-- no message of theirs ahead of the cursor, delivered or not. Returns their names. What their callers do until the commit
-- is then in order behind everything that was sent to them before.
--
-- Each row is locked first and looked at by statements of their own, which have a new snapshot. So that the look stays
-- short, a cursor that is far behind counts as busy: its own step moves it. The outbox is empty most of the time, and
-- its statistics may say so while it has thousands of rows: only its primary key has them in the order of the look.
CREATE OR REPLACE FUNCTION eventstore_claim_idle(names text[]) RETURNS SETOF text LANGUAGE plpgsql ROWS 10
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
DECLARE
    claimed record;
    newest bigint;
BEGIN
    IF eventstore_mark() IS NULL THEN
        RETURN;  -- the log waits for its next epoch
    END IF;
    FOR claimed IN
        SELECT subscription.name, subscription.position
        FROM eventstore_subscription AS subscription
        WHERE subscription.name = ANY(names) AND NOT paused
        ORDER BY subscription.name
        FOR UPDATE SKIP LOCKED
    LOOP
        newest := (SELECT last_value FROM eventstore_position);
        IF newest - claimed.position <= 10000 AND (
            SELECT position FROM eventstore_outbox
            WHERE position > claimed.position AND topic = claimed.name
            ORDER BY position
            LIMIT 1
        ) IS NULL AND NOT eventstore_has_parked(claimed.name) THEN
            RETURN NEXT claimed.name;
        END IF;
    END LOOP;
END $$;
