-- The first step of every append. Readers see the lock until the appender's commit is visible.
--
-- A sequence returns positions before the commit, so a reader of "position > n" could pass a slower writer and never see
-- its events. So an appender first takes a shared lock whose number is the sequence's last value. A reader reads the
-- sequence, then the lowest such lock that is held (eventstore_fence). See docs/adr/0002-the-floor-fence.md.
--
-- An SQL function of one expression is inlined where it is called. In PL/pgSQL, an expression needs no executor, unlike
-- PERFORM, but each function in it that is not built in costs a look into the catalogue: here one, for what is rare. The
-- result is never NULL.
CREATE OR REPLACE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared((x'E5'::bigint << 48) | CASE
        WHEN pg_current_xact_id_if_assigned() IS NULL
            AND current_setting('transaction_isolation') IN ('read committed', 'read uncommitted')
            THEN coalesce(pg_sequence_last_value('eventstore_position'), 0)
        ELSE eventstore_first_fence(coalesce(pg_sequence_last_value('eventstore_position'), 0))
    END)
$$;
