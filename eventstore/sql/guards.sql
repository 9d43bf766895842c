-- The log's guards, with no setting of a session that switches them off: plain triggers, and always enabled.
CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_event
    FOR EACH ROW EXECUTE FUNCTION eventstore_refuse_change();
CREATE TRIGGER eventstore_never_truncated BEFORE TRUNCATE ON eventstore_event
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore_refuse_change();
ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_append_only;
ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_never_truncated;

-- The append functions run with the rights of who owns the log, so that the application's role needs none on it. Who may
-- call them is said by `manage.py app_role`. See docs/adr/0022-what-an-append-refuses.md.
REVOKE EXECUTE ON FUNCTION
    eventstore_append_one, eventstore_append, eventstore_append_open, eventstore_append_once, eventstore_check_condition,
    eventstore_take_fence, eventstore_lock_condition
FROM PUBLIC;

-- The first epoch: the log is whole, and there is nothing to leap over.
SELECT eventstore_begin_epoch(NULL, 'first', '');
