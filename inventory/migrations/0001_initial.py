from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="StockLevel",
            fields=[
                ("version", models.IntegerField(default=0)),
                ("position", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(null=True)),
                ("sku", models.TextField(primary_key=True, serialize=False)),
                ("received", models.BigIntegerField(default=0)),
                ("adjusted", models.BigIntegerField(default=0)),
                ("reserved", models.BigIntegerField(default=0)),
                ("returned", models.BigIntegerField(default=0)),
                ("available", models.BigIntegerField(default=0)),
            ],
            options={
                "db_table": "inventory_stock_level",
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("available__gte", 0)),
                        name="inventory_stock_never_negative",
                    )
                ],
            },
        ),
    ]
