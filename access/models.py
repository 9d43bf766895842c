"""The customer of each account."""

from django.conf import settings
from django.db import models


class Customer(models.Model):
    """The id under which an account's orders are stored. Written once for each account
    (access/accounts.py)."""

    customer_id = models.TextField(primary_key=True)
    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="customer")

    class Meta:
        db_table = "access_customer"

    def __str__(self) -> str:
        return self.customer_id
