"""Decided on what a process remembers of some streams: appended only if nothing has come to them since."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION eventstore_on_premises(premises json, INOUT events json) LANGUAGE plpgsql AS $$
DECLARE
    changed record;
BEGIN
    SELECT premise.key AS stream, premise.value::integer AS expected, newer.version AS actual INTO changed
    FROM json_each_text(premises) AS premise
    CROSS JOIN LATERAL (
        SELECT event.version
        FROM eventstore_event AS event
        WHERE event.stream = premise.key AND event.version > premise.value::integer
        ORDER BY event.version DESC
        LIMIT 1
    ) AS newer
    LIMIT 1;
    -- What is said again because its answer was lost was right when it was said first.
    IF FOUND AND NOT EXISTS (
        SELECT FROM json_to_recordset(events) AS sent(stream text, version integer, id uuid)
        JOIN eventstore_event USING (stream, version, id)
    ) THEN
        RAISE EXCEPTION 'another writer was first' USING ERRCODE = 'ES001', DETAIL = row_to_json(changed);
    END IF;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0017_kept_as_written")]
    operations = [migrations.RunSQL(FORWARD, "DROP FUNCTION eventstore_on_premises(json, json);")]
