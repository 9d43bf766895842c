"""What users may do, by their roles.

Customers see their own objects. Each kind of staff sees everything and does its own work. Admins
may do everything.
"""

from collections.abc import Collection
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

CUSTOMER = "customer"
SUPPORT = "support"
OPERATIONS = "operations"
FINANCE = "finance"
ADMIN = "admin"

# Of the schema registry: read; also register; also set levels and modes, and delete.
SCHEMA_READER = "schema reader"
SCHEMA_WRITER = "schema writer"
SCHEMA_ADMIN = "schema admin"

# Every account is a customer; the group of that name grants nothing.
GROUPS = (
    CUSTOMER,
    SUPPORT,
    OPERATIONS,
    FINANCE,
    ADMIN,
    SCHEMA_READER,
    SCHEMA_WRITER,
    SCHEMA_ADMIN,
)


class Operations(BasePermission):
    """The catalogue, the stock and the parcels."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_operations(request.user)


class Refunding(BasePermission):
    """Refunds."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return _is_one_of(request.user, SUPPORT, FINANCE)


class Staff(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return is_staff(request.user)


def is_staff(user: Any) -> bool:
    return _is_one_of(user, SUPPORT, OPERATIONS, FINANCE)


def staff_among(user_ids: Collection[int]) -> set[int]:
    """In one query."""
    of_staff = Q(is_superuser=True) | Q(groups__name__in=(SUPPORT, OPERATIONS, FINANCE, ADMIN))
    found = User.objects.filter(of_staff, pk__in=user_ids)
    return set(found.values_list("pk", flat=True))


def is_operations(user: Any) -> bool:
    return _is_one_of(user, OPERATIONS)


def is_in(user: Any, *groups: str) -> bool:
    """Of a user of the API; superusers are in all groups."""
    return bool(user.is_authenticated) and _is_one_of(user, *groups)


def owns(user: Any, customer_id: str) -> bool:
    """The objects of a guest, or of a deleted account, belong to no user; a user of the console
    owns none."""
    return bool(customer_id) and customer_id == getattr(user, "customer_id", "")


def may_touch(user: Any, customer_id: str) -> bool:
    """Whether the user may see what belongs to this customer."""
    return owns(user, customer_id) or is_staff(user)


def may_act_for(user: Any, customer_id: str) -> bool:
    """Whether the user may do what only the customer, or staff who help customers, may do."""
    return owns(user, customer_id) or _is_one_of(user, SUPPORT)


def _is_one_of(user: Any, *groups: str) -> bool:
    return bool(user.is_superuser or user.groups.filter(name__in=(*groups, ADMIN)).exists())
