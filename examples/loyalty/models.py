from django.db import models

from eventstore.models import ReadModel


class Balance(ReadModel):
    """orders: how many have earned points that were not taken back."""

    customer_id = models.TextField(primary_key=True)
    points = models.BigIntegerField(default=0)
    orders = models.IntegerField(default=0)
