"""Where a read model stands, asked in the same statement as its row, and so of the same moment."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION eventstore_standing(lane text, heard text[]) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    reached bigint;
    ahead record;
    held record;
BEGIN
    SELECT position INTO reached FROM eventstore_subscription WHERE name = lane;
    IF reached < (SELECT position FROM eventstore_subscription WHERE name = 'eventstore.outbox') THEN
        SELECT position, recorded_at AS at INTO ahead
        FROM eventstore_event
        WHERE position > reached AND type = ANY(heard)
        ORDER BY position
        LIMIT 1;
    ELSE
        SELECT position, created_at AS at INTO ahead
        FROM eventstore_outbox
        WHERE position > reached AND topic = 'event' AND type = ANY(heard)
        ORDER BY position
        LIMIT 1;
    END IF;
    SELECT position, parked_at AS at INTO held
    FROM eventstore_parked
    WHERE subscription = lane
    ORDER BY position
    LIMIT 1;
    RETURN jsonb_build_object(
        'position', reached,
        'waiting', least(ahead.position, held.position),
        'lag', greatest(0, coalesce(extract(epoch FROM clock_timestamp() - least(ahead.at, held.at)), 0)),
        'seen', greatest(reached, (SELECT max(position) FROM eventstore_event))
    );
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0009_saga_schema_version")]
    operations = [migrations.RunSQL(FORWARD, "DROP FUNCTION eventstore_standing(text, text[]);")]
