"""A left command names its lane and key, so that its dead letter is found by an index; and whether a lane has parked
anything is one look into the lane's own index, however much others have parked."""

from django.db import migrations, models

HAS_PARKED = """
CREATE OR REPLACE FUNCTION eventstore_has_parked(lane text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN (
        SELECT position FROM eventstore_parked
        WHERE subscription = lane
        ORDER BY subscription, position
        LIMIT 1
    ) IS NOT NULL;
END $$;
"""
HAD_PARKED = """
CREATE OR REPLACE FUNCTION eventstore_has_parked(lane text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    RETURN EXISTS (SELECT FROM eventstore_parked WHERE subscription = lane);
END $$;
"""
# Those that wait now; what is settled is never looked for.
FILL = """
UPDATE eventstore_left_command AS kept
SET lane = outbox.topic, key = outbox.key
FROM eventstore_outbox AS outbox
WHERE kept.status = 'PENDING' AND outbox.id = kept.id
"""


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0028_the_epoch_of_the_log")]
    operations = [
        migrations.AddField("leftcommand", "lane", models.TextField(db_collation="C", db_default="")),
        migrations.AddField("leftcommand", "key", models.TextField(db_collation="C", db_default="")),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.RunSQL(HAS_PARKED, HAD_PARKED),
    ]
