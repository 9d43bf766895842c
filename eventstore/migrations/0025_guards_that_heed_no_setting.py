"""The log's guards, with no setting of a session that switches them off: plain triggers, and always enabled.

pgtrigger's look at `pgtrigger.ignore` first, which the table's owner may set, and are off where
`session_replication_role` is `replica`. Who means to change the log says so to the table (ALTER TABLE … DISABLE TRIGGER),
where the doctor sees it.
"""

import pgtrigger.migrations
from django.db import migrations

REFUSE = """
CREATE FUNCTION eventstore_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'Events are never changed or removed (% refused).', TG_OP USING ERRCODE = 'ES002';
END $$;
"""

GUARDS = """
CREATE TRIGGER eventstore_append_only BEFORE UPDATE OR DELETE ON eventstore_event
    FOR EACH ROW EXECUTE FUNCTION eventstore_refuse_change();
CREATE TRIGGER eventstore_never_truncated BEFORE TRUNCATE ON eventstore_event
    FOR EACH STATEMENT EXECUTE FUNCTION eventstore_refuse_change();
ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_append_only;
ALTER TABLE eventstore_event ENABLE ALWAYS TRIGGER eventstore_never_truncated;
"""

UNGUARD = """
DROP TRIGGER eventstore_append_only ON eventstore_event;
DROP TRIGGER eventstore_never_truncated ON eventstore_event;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0024_read_committed_only")]
    operations = [
        # The new ones first: there is no moment without any.
        migrations.RunSQL(REFUSE, "DROP FUNCTION eventstore_refuse_change();"),
        migrations.RunSQL(GUARDS, UNGUARD),
        pgtrigger.migrations.RemoveTrigger("event", "append_only"),
        pgtrigger.migrations.RemoveTrigger("event", "never_truncated"),
    ]
