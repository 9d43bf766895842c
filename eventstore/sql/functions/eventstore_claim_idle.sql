-- Locks those of the subscriptions that have nothing to do: not paused, not held by another worker, nothing parked, and
-- no message of theirs ahead of the cursor, delivered or not. Returns their names. What their callers do until the commit
-- is then in order behind everything that was sent to them before.
--
-- Each row is locked first and looked at by statements of their own, which have a new snapshot. So that the look stays
-- short, a cursor that is far behind counts as busy: its own step moves it.
CREATE OR REPLACE FUNCTION eventstore_claim_idle(names text[]) RETURNS SETOF text LANGUAGE plpgsql ROWS 10 AS $$
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
        newest := (SELECT position FROM eventstore_outbox ORDER BY position DESC LIMIT 1);
        IF newest > claimed.position AND (
            newest - claimed.position > 10000 OR EXISTS (
                SELECT FROM eventstore_outbox
                WHERE position > claimed.position AND position <= newest AND topic = claimed.name
            )
        ) THEN
            CONTINUE;
        END IF;
        IF NOT eventstore_has_parked(claimed.name) THEN
            RETURN NEXT claimed.name;
        END IF;
    END LOOP;
END $$;
