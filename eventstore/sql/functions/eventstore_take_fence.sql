-- What every appender does first. A reader sees the lock until the appender's commit is visible.
--
-- A sequence gives out positions before the commit, so a reader of "position > n" can pass by a slower writer and never
-- see its events. So an appender first takes a shared lock numbered with the sequence's last value, and a reader looks at
-- the sequence, then at the lowest such lock that is held (eventstore_fence). See docs/adr/0002-the-floor-fence.md.
--
-- A function of one expression is written out where it is called, and an assignment of a mere expression needs no
-- executor, as PERFORM does.
CREATE OR REPLACE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | CASE
        WHEN current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted')
            THEN eventstore_refuse_isolation()
        WHEN eventstore_mark() IS NULL THEN eventstore_epoch_is_over()
        WHEN pg_current_xact_id_if_assigned() IS NULL
            THEN coalesce(pg_sequence_last_value('eventstore_position'), 0)
        ELSE eventstore_first_fence(coalesce(pg_sequence_last_value('eventstore_position'), 0))
    END)
$$;
