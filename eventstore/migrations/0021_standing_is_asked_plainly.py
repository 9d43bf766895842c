"""Where a read model stands is a statement of its own now (freshness.py), whose cost does not grow with a backlog."""

from importlib import import_module

from django.db import migrations

BEFORE = import_module("eventstore.migrations.0010_standing").FORWARD


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0020_on_premises")]
    operations = [migrations.RunSQL("DROP FUNCTION eventstore_standing(text, text[])", BEFORE)]
