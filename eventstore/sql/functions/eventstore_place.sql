-- Where the server runs. A value that cannot be queried is NULL: managed servers may forbid it, and a standby has no
-- timeline to write to.
CREATE OR REPLACE FUNCTION eventstore_place(OUT system_identifier bigint, OUT database oid, OUT timeline integer)
LANGUAGE plpgsql AS $$
BEGIN
    SELECT oid INTO database FROM pg_database WHERE datname = current_database();
    BEGIN
        SELECT control.system_identifier INTO system_identifier FROM pg_control_system() AS control;
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    BEGIN
        timeline := ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer;
    EXCEPTION WHEN insufficient_privilege OR object_not_in_prerequisite_state THEN NULL;
    END;
END $$;
