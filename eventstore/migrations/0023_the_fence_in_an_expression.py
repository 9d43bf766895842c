"""The same append of one event, whose fence is an expression's value instead of a query's: a twentieth of what the
server does."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("eventstore.migrations.0022_a_shorter_append")

# A function of one expression is written out where it is called.
TAKE_FENCE = """
CREATE OR REPLACE FUNCTION eventstore_take_fence() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock_shared(
        (x'E5'::bigint << 48) | coalesce(pg_sequence_last_value('eventstore_position'), 0)
    )
$$;
"""

# PERFORM would be a query, with an executor of its own; an assignment of a mere expression needs none.
APPEND_ONE = BEFORE.APPEND_ONE.replace("    written bigint;", "    written bigint;\n    taken text;").replace(
    "    PERFORM eventstore_take_fence();", "    taken := eventstore_take_fence();"
)


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0022_a_shorter_append")]
    operations = [
        migrations.RunSQL(TAKE_FENCE, BEFORE.TAKE_FENCE),
        migrations.RunSQL(APPEND_ONE, BEFORE.APPEND_ONE),
    ]
