-- What Django's models cannot say.

-- Gives out the positions of the log, in the order in which they are asked for. A sequence that keeps numbers back for
-- each session (CACHE) gives out later what the fence has passed.
CREATE SEQUENCE eventstore_position CACHE 1;

-- Another epoch of the log begins when the log may have lost something. See docs/adr/0023-the-log-has-epochs.md.
--
-- first: positions of this epoch lie above it; intact: all events up to there are known to be there, of all that were
-- there before; last: of the last event that it began with.
-- Tables of their own and no models: what empties models for a test must not end the epoch.
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

-- The mark of the present epoch. PostgreSQL does not log this table, so it empties it whenever the server may have
-- forgotten something else, too: after a crash, on a standby that becomes the primary, and in what was restored from a
-- base backup. As long as no mark stands here, no append is taken and no subscription takes a step.
CREATE UNLOGGED TABLE eventstore_epoch_mark (mark bigint NOT NULL);
