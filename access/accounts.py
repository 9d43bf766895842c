"""The customer id of each account: unique, independent of the account's name, and never used for
another account.

An account can be renamed, and its name given to a new account after it is deleted. Its primary key
can be used again after a restore that resets a sequence. So the id is random, made when the account
first needs one. When the account is deleted, its orders belong to no account. See docs/adr/0027.
"""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import uuid4

from .models import Customer


def customer_id_of(user: Any) -> str:
    """The account's customer id; made by the first call."""
    customer, _ = Customer.objects.get_or_create(user=user, defaults={"customer_id": str(uuid4())})
    return customer.customer_id


def customer_id_called(name: str) -> str | None:
    """The customer id of the account that has this name now."""
    return (
        Customer.objects.filter(user__username=name).values_list("customer_id", flat=True).first()
    )


def customer_ids(term: str) -> list[str]:
    """The customer ids that a term may stand for: itself, and that of the account of this name."""
    called = customer_id_called(term)
    return [term, called] if called else [term]


def names(customer_ids: Collection[str]) -> Mapping[str, str]:
    """Customer id -> the present name of its account. Ids without an account are left out."""
    found = Customer.objects.filter(customer_id__in=customer_ids)
    return dict(found.values_list("customer_id", "user__username"))
