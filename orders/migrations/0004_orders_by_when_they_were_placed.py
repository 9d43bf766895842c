"""Lists of orders go by when they were placed: an id that follows from a client's key has no time in it.

Beside whoever reads and writes: an index is built, and its predecessor dropped, without a lock that anybody waits for.
"""

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("orders", "0003_orders_by_status_and_time")]

    operations = [
        AddIndexConcurrently(
            "orderdetails",
            models.Index(fields=["customer_id", "placed_at", "order_id"], name="orders_of_customer_by_time"),
        ),
        AddIndexConcurrently(
            "orderdetails",
            models.Index(fields=["status", "placed_at", "order_id"], name="orders_by_status_and_time"),
        ),
        AddIndexConcurrently(
            "orderdetails",
            models.Index(fields=["placed_at", "order_id"], name="orders_by_placed_at"),
        ),
        RemoveIndexConcurrently("orderdetails", "orders_of_customer"),
        RemoveIndexConcurrently("orderdetails", "orders_by_status"),
        RemoveIndexConcurrently("orderdetails", "orders_by_time"),
    ]
