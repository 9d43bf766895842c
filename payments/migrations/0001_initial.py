import django.db.models.functions.datetime
import django.db.models.lookups
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="PaymentView",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("order_id", models.TextField(primary_key=True, serialize=False)),
                ("status", models.TextField(default="NEW")),
                ("amount", models.BigIntegerField(default=0)),
                ("refunded", models.BigIntegerField(default=0)),
                ("currency", models.TextField(default="")),
                ("exponent", models.SmallIntegerField(default=2)),
                ("method", models.TextField(default="")),
                ("reference", models.TextField(default="")),
                ("reason", models.TextField(default="")),
                ("created_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "payment",
                "db_table": "payments_payment",
                "indexes": [
                    models.Index(fields=["created_at", "order_id"], name="payments_by_time"),
                    models.Index(
                        fields=["status", "created_at", "order_id"],
                        name="payments_by_status_and_time",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="SandboxEntry",
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
                ("kind", models.TextField(choices=[("charge", "Charge"), ("refund", "Refund")])),
                ("asked", models.BigIntegerField()),
                (
                    "amount",
                    models.GeneratedField(
                        db_persist=True,
                        expression=models.Case(
                            models.When(then=models.F("asked"), tries__gte=models.F("done_at")),
                            default=models.Value(0),
                        ),
                        output_field=models.BigIntegerField(),
                    ),
                ),
                ("currency", models.TextField()),
                ("exponent", models.SmallIntegerField()),
                ("method", models.TextField(default="")),
                ("reference", models.TextField()),
            ],
            options={
                "verbose_name_plural": "sandbox entries",
                "db_table": "payments_sandbox_entry",
                "indexes": [models.Index(fields=["order_id"], name="payments_sandbox_order")],
            },
        ),
    ]
