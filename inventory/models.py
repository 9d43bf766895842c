"""Read models, written by projections alone and rebuilt from events."""

from django.db import models

from eventstore.models import ReadModel


class StockLevel(ReadModel):
    """Units of one product: available = received + returned + adjusted - reserved."""

    sku = models.TextField(primary_key=True)
    received = models.BigIntegerField(default=0)
    adjusted = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    returned = models.BigIntegerField(default=0)
    available = models.BigIntegerField(default=0)

    class Meta:
        db_table = "inventory_stock_level"
        constraints = [
            models.CheckConstraint(
                condition=models.Q(available__gte=0), name="inventory_stock_never_negative"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.sku}: {self.available}"
