from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orders", "0002_returns")]

    operations = [
        migrations.AddIndex(
            model_name="orderdetails",
            index=models.Index(fields=["status", "order_id"], name="orders_by_status"),
        ),
        migrations.AddIndex(
            model_name="orderdetails",
            index=models.Index(fields=["placed_at"], name="orders_by_time"),
        ),
    ]
