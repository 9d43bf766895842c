import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="SandboxParcel",
            fields=[
                ("key", models.TextField(primary_key=True, serialize=False)),
                ("tries", models.IntegerField()),
                ("done_at", models.IntegerField()),
                (
                    "done",
                    models.GeneratedField(
                        db_persist=True,
                        expression=django.db.models.lookups.GreaterThanOrEqual(
                            models.F("tries"), models.F("done_at")
                        ),
                        output_field=models.BooleanField(),
                    ),
                ),
                (
                    "entered_at",
                    models.DateTimeField(db_default=django.db.models.functions.datetime.Now()),
                ),
                ("order_id", models.TextField()),
                (
                    "kind",
                    models.TextField(
                        choices=[("booking", "Booking"), ("cancellation", "Cancellation")]
                    ),
                ),
                ("tracking", models.TextField(default="")),
            ],
            options={
                "db_table": "shipping_sandbox_parcel",
                "indexes": [models.Index(fields=["order_id"], name="shipping_sandbox_order")],
            },
        ),
        migrations.CreateModel(
            name="ShipmentView",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("order_id", models.TextField(primary_key=True, serialize=False)),
                ("status", models.TextField(default="NEW")),
                ("tracking", models.TextField(default="")),
                ("reason", models.TextField(default="")),
                ("address", models.JSONField(default=dict)),
                ("created_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "shipment",
                "db_table": "shipping_shipment",
                "indexes": [
                    models.Index(fields=["created_at", "order_id"], name="shipments_by_time"),
                    models.Index(
                        fields=["status", "created_at", "order_id"],
                        name="shipments_by_status_and_time",
                    ),
                ],
            },
        ),
    ]
