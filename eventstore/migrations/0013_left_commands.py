import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("eventstore", "0012_inbox")]

    operations = [
        migrations.CreateModel(
            name="LeftCommand",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("principal", models.TextField(db_collation="C")),
                ("location", models.TextField()),
                ("status", models.TextField(db_default="PENDING")),
                ("version", models.IntegerField(db_default=0)),
                ("position", models.BigIntegerField(db_default=0)),
                ("code", models.TextField(db_default="")),
                ("detail", models.TextField(db_default="")),
                ("left_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("settled_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "eventstore_left_command",
                "indexes": [models.Index(fields=["left_at"], name="eventstore_left_at")],
            },
        ),
    ]
