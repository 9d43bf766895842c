"""The append functions run with the rights of who owns the log, so that the application's role needs none on it.

They look for tables in the schema that they were made in, whatever the caller's search_path is, and in pg_temp last: a
temporary table of the same name is not taken for ours. Who may call them is said by `manage.py app_role`; so far, anybody
could. See docs/adr/0022-what-an-append-refuses.md.
"""

from django.db import migrations

FORWARD = """
DO $$
DECLARE
    entry regprocedure;
BEGIN
    FOREACH entry IN ARRAY ARRAY[
        'eventstore_append_one(text, integer, uuid, text, smallint, json, uuid, uuid, json)',
        'eventstore_append(json, json)',
        'eventstore_append_open(json, json)',
        'eventstore_append_once(jsonb, json, json)',
        'eventstore_on_premises(json, json)'
    ]::regprocedure[]
    LOOP
        EXECUTE format(
            'ALTER FUNCTION %s SECURITY DEFINER SET search_path = pg_catalog, %I, pg_temp', entry, current_schema()
        );
        EXECUTE format('ALTER FUNCTION %s SET enable_seqscan = off', entry);
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', entry);
    END LOOP;
END $$;
REVOKE EXECUTE ON FUNCTION eventstore_take_fence() FROM PUBLIC;
REVOKE EXECUTE ON FUNCTION eventstore_lock_premises(json) FROM PUBLIC;
"""

BACKWARD = """
DO $$
DECLARE
    entry regprocedure;
BEGIN
    FOREACH entry IN ARRAY ARRAY[
        'eventstore_append_one(text, integer, uuid, text, smallint, json, uuid, uuid, json)',
        'eventstore_append(json, json)',
        'eventstore_append_open(json, json)',
        'eventstore_append_once(jsonb, json, json)',
        'eventstore_on_premises(json, json)'
    ]::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SECURITY INVOKER RESET ALL', entry);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', entry);
    END LOOP;
END $$;
GRANT EXECUTE ON FUNCTION eventstore_take_fence() TO PUBLIC;
GRANT EXECUTE ON FUNCTION eventstore_lock_premises(json) TO PUBLIC;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0026_appends_that_refuse")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
