-- What Django's models cannot define.

-- The positions of the log. With CACHE, a session would reserve numbers, and use some that the fence has already passed.
CREATE SEQUENCE eventstore_position CACHE 1;

-- A new epoch of the log begins when the log may have lost events. See docs/adr/0023-the-log-has-epochs.md.
--
-- first: positions of this epoch lie above it; intact: up to this position no event was lost before the epoch began;
-- last: position of the last event at its beginning.
-- These tables have no models: emptying all models' tables in a test must not end the epoch.
CREATE TABLE eventstore_epoch (
    number integer PRIMARY KEY,
    mark bigint NOT NULL UNIQUE,
    reason text NOT NULL COLLATE "C",
    detail text NOT NULL DEFAULT '',
    began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    silent interval NOT NULL DEFAULT '0',
    intact bigint NOT NULL,
    last bigint NOT NULL,
    first bigint NOT NULL,
    system_identifier bigint,
    database oid NOT NULL,
    timeline integer,
    settled_at timestamptz
);

-- The mark of the current epoch. The table is UNLOGGED, so PostgreSQL empties it whenever the server may have lost other
-- data: after a crash, on a standby that becomes the primary, and after a restore from a base backup. While it is empty,
-- appends are refused and subscriptions do not move. first: as in eventstore_epoch.
CREATE UNLOGGED TABLE eventstore_epoch_mark (mark bigint NOT NULL, first bigint NOT NULL DEFAULT 0);
