"""What users may do, by their roles.

Customers see their own objects. Each kind of staff sees everything and does its own work. Admins
may do everything.
"""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

CUSTOMER = "customer"
SUPPORT = "support"
OPERATIONS = "operations"
FINANCE = "finance"
ADMIN = "admin"

# Every account is a customer; the group of that name grants nothing.
GROUPS = (CUSTOMER, SUPPORT, OPERATIONS, FINANCE, ADMIN)


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


def is_operations(user: Any) -> bool:
    return _is_one_of(user, OPERATIONS)


def owns(user: Any, customer_id: str) -> bool:
    """The objects of a guest, or of a deleted account, belong to no user; a user of the console
    owns none."""
    return bool(customer_id) and customer_id == getattr(user, "customer_id", "")


def may_touch(user: Any, customer_id: str) -> bool:
    """Whether the user may see what belongs to this customer."""
    return owns(user, customer_id) or is_staff(user)


def may_act_for(user: Any, customer_id: str) -> bool:
    """Whether the user may do what only the customer, or staff who help customers, may do."""
    return owns(user, customer_id) or _is_one_of(user, SUPPORT, OPERATIONS)


def _is_one_of(user: Any, *groups: str) -> bool:
    return bool(user.is_superuser or user.groups.filter(name__in=(*groups, ADMIN)).exists())
