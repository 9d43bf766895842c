-- The log's guards: triggers that no setting of a session disables (ENABLE ALWAYS).
CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_event
    FOR EACH ROW EXECUTE FUNCTION eventstore_refuse_change();
CREATE TRIGGER eventstore_never_truncated BEFORE TRUNCATE ON eventstore_event
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore_refuse_change();
ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_append_only;
ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_never_truncated;

-- One id of the schema registry is one text for ever, so ids are never used again.
CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_schema
    FOR EACH ROW EXECUTE FUNCTION eventstore_refuse_schema_change();
CREATE TRIGGER eventstore_never_truncated BEFORE TRUNCATE ON eventstore_schema
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore_refuse_schema_change();
CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_schema_reference
    FOR EACH ROW EXECUTE FUNCTION eventstore_refuse_schema_change();
CREATE TRIGGER eventstore_never_truncated BEFORE TRUNCATE ON eventstore_schema_reference
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore_refuse_schema_change();
ALTER TABLE eventstore_schema ENABLE ALWAYS TRIGGER eventstore_append_only;
ALTER TABLE eventstore_schema ENABLE ALWAYS TRIGGER eventstore_never_truncated;
ALTER TABLE eventstore_schema_reference ENABLE ALWAYS TRIGGER eventstore_append_only;
ALTER TABLE eventstore_schema_reference ENABLE ALWAYS TRIGGER eventstore_never_truncated;

-- The append functions run with the privileges of the log's owner, so that the application's role needs none on the log.
-- `manage.py app_role` grants the right to call them. See docs/adr/0022-what-an-append-refuses.md.
REVOKE EXECUTE ON FUNCTION
    eventstore_append_one, eventstore_append, eventstore_append_open, eventstore_append_once, eventstore_check_condition,
    eventstore_take_fence, eventstore_lock_condition
FROM PUBLIC;

-- The first epoch: the log is complete and has no gap.
SELECT eventstore_begin_epoch(NULL, 'first', '');
