"""The accounts that webhooks are sent for, by their customer ids."""

from collections.abc import Collection, Mapping

from django.contrib.auth.models import User

from eventstore.subscriptions import Receiver

from . import accounts as customers
from .authorization import ADMIN, OPERATIONS


def account_called(name: str) -> str | None:
    """The customer id of the account with this name, if it is active."""
    user = User.objects.filter(username=name, is_active=True).first()
    return customers.customer_id_of(user) if user else None


def receivers(customer_ids: Collection[str]) -> Mapping[str, Receiver]:
    """Customer id -> its active account. Of deleted and inactive ones there is none."""
    accounts = User.objects.filter(customer__customer_id__in=customer_ids, is_active=True)
    found = list(accounts.select_related("customer"))
    staff = User.objects.filter(groups__name__in=(OPERATIONS, ADMIN), pk__in=[u.pk for u in found])
    see_all = set(staff.values_list("pk", flat=True))
    return {
        user.customer.customer_id: Receiver(user.email, user.is_superuser or user.pk in see_all)
        for user in found
    }
