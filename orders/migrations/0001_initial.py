"""The tables of the models."""

from django.db import migrations, models
from django.db.models.functions import Collate, Reverse


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [
        migrations.CreateModel(
            name="ProductView",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("sku", models.TextField(primary_key=True, serialize=False)),
                ("name", models.TextField(default="")),
                ("price", models.BigIntegerField(default=0)),
                ("currency", models.TextField(default="")),
                ("exponent", models.SmallIntegerField(default=2)),
                ("offered", models.BooleanField(default=False)),
            ],
            options={
                "verbose_name": "product",
                "db_table": "orders_product",
            },
        ),
        migrations.CreateModel(
            name="BookingView",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("booking_id", models.TextField(primary_key=True, serialize=False)),
                ("kind", models.TextField(default="")),
                ("customer_id", models.TextField(default="")),
                ("reference", models.TextField(default="")),
                ("reason", models.TextField(default="")),
                ("lines", models.JSONField(default=list)),
                ("charges", models.JSONField(default=list)),
                ("has_no_sale", models.BooleanField(default=False)),
                ("amount", models.BigIntegerField(default=0)),
                ("currency", models.TextField(default="")),
                ("exponent", models.SmallIntegerField(default=2)),
                ("booked_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "booking",
                "db_table": "orders_booking",
                "indexes": [
                    models.Index(
                        fields=["has_no_sale", "booking_id"], name="bookings_without_sale"
                    ),
                    models.Index(fields=["reference"], name="bookings_by_reference"),
                ],
            },
        ),
        migrations.CreateModel(
            name="OrderDetails",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("order_id", models.TextField(primary_key=True, serialize=False)),
                ("customer_id", models.TextField(default="")),
                ("reference", models.TextField(default="")),
                ("status", models.TextField(default="PLACED")),
                ("payment_status", models.TextField(default="NONE")),
                ("reservation_status", models.TextField(default="NONE")),
                ("shipment_status", models.TextField(default="NONE")),
                ("tracking", models.TextField(default="")),
                ("reason", models.TextField(default="")),
                ("total", models.BigIntegerField(default=0)),
                ("currency", models.TextField(default="")),
                ("exponent", models.SmallIntegerField(default=2)),
                ("lines", models.JSONField(default=list)),
                ("charges", models.JSONField(default=list)),
                ("address", models.JSONField(default=dict)),
                ("placed_at", models.DateTimeField(null=True)),
                ("return_status", models.TextField(default="NONE")),
                ("announced", models.JSONField(default=dict)),
                ("returned", models.JSONField(default=dict)),
                ("refunded", models.BigIntegerField(default=0)),
            ],
            options={
                "verbose_name": "order",
                "verbose_name_plural": "order details",
                "db_table": "orders_order_details",
                "indexes": [
                    models.Index(
                        fields=["customer_id", "placed_at", "order_id"],
                        name="orders_of_customer_by_time",
                    ),
                    models.Index(
                        fields=["status", "placed_at", "order_id"], name="orders_by_status_and_time"
                    ),
                    models.Index(fields=["placed_at", "order_id"], name="orders_by_placed_at"),
                    models.Index(
                        fields=["reference", "placed_at", "order_id"], name="orders_by_reference"
                    ),
                    models.Index(Collate(Reverse("order_id"), "C"), name="orders_by_end_of_id"),
                ],
            },
        ),
        migrations.CreateModel(
            name="ReturnView",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("return_id", models.TextField(primary_key=True, serialize=False)),
                ("order_id", models.TextField(default="")),
                ("customer_id", models.TextField(default="")),
                ("reference", models.TextField(default="")),
                ("status", models.TextField(default="REQUESTED")),
                ("reason", models.TextField(default="")),
                ("lines", models.JSONField(default=list)),
                ("charges", models.JSONField(default=list)),
                ("refund", models.BigIntegerField(default=0)),
                ("refunded", models.BigIntegerField(default=0)),
                ("currency", models.TextField(default="")),
                ("exponent", models.SmallIntegerField(default=2)),
                ("requested_at", models.DateTimeField(null=True)),
                ("received_at", models.DateTimeField(null=True)),
            ],
            options={
                "verbose_name": "return",
                "db_table": "orders_return",
                "indexes": [
                    models.Index(
                        fields=["order_id", "requested_at", "return_id"], name="returns_of_order"
                    ),
                    models.Index(
                        fields=["customer_id", "requested_at", "return_id"],
                        name="returns_of_customer",
                    ),
                    models.Index(fields=["requested_at", "return_id"], name="returns_by_time"),
                    models.Index(fields=["status", "return_id"], name="returns_by_status"),
                    models.Index(fields=["reference", "return_id"], name="returns_by_reference"),
                    models.Index(Collate(Reverse("return_id"), "C"), name="returns_by_end_of_id"),
                ],
            },
        ),
    ]
