"""Whose orders are whose: each account has a customer id of its own, whatever it is called, and no
other ever has it.

An account's name can be changed, and given to another once the account is gone; its number in the
database can be given again after a restore that forgets a sequence. The id is drawn at random when
the account first needs one. It ends with the account: then the orders are nobody's. See
docs/adr/0027.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from .models import Customer


def customer_id_of(user: Any) -> str:
    """Of that account; given when it is asked for the first time."""
    customer, _ = Customer.objects.get_or_create(user=user, defaults={"customer_id": str(uuid4())})
    return customer.customer_id


def customer_id_called(name: str) -> str | None:
    """Of the account that has this name at present."""
    return (
        Customer.objects.filter(user__username=name).values_list("customer_id", flat=True).first()
    )


def names(customer_ids: Collection[str]) -> Mapping[str, str]:
    """What the accounts are called at present, by the customer's id; an id without an account is
    left out."""
    found = Customer.objects.filter(customer_id__in=customer_ids)
    return dict(found.values_list("customer_id", "user__username"))
