"""Who may do what: customers their own; each kind of staff sees everything and does its own work;
admins may all."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

CUSTOMER = "customer"
SUPPORT = "support"
OPERATIONS = "operations"
FINANCE = "finance"
ADMIN = "admin"

# Whoever is logged in is a customer; being in that group gives nothing more.
GROUPS = (CUSTOMER, SUPPORT, OPERATIONS, FINANCE, ADMIN)


class Operations(BasePermission):
    """The catalogue, the stock and the parcels."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return is_operations(request.user)


class Refunding(BasePermission):
    """Money back."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return _is_one_of(request.user, SUPPORT, FINANCE)


class Staff(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return is_staff(request.user)


def is_staff(user: Any) -> bool:
    return _is_one_of(user, SUPPORT, OPERATIONS, FINANCE)


def is_operations(user: Any) -> bool:
    return _is_one_of(user, OPERATIONS)


def customer_id_of(user: Any) -> str:
    """Under which what belongs to the user is kept: an id that nobody else is ever given, as no
    name is. Who lets the user in says it (as the user's customer_id); empty for whom nothing can
    belong to."""
    return getattr(user, "customer_id", "")


def owns(user: Any, customer_id: str) -> bool:
    """What belongs to a guest, or to nobody any more, is nobody's own."""
    return bool(customer_id) and customer_id == customer_id_of(user)


def may_touch(user: Any, customer_id: str) -> bool:
    """Whether something that belongs to this customer is any business of the user's."""
    return owns(user, customer_id) or is_staff(user)


def may_act_for(user: Any, customer_id: str) -> bool:
    """Whether the user may do what only the customer, or who helps customers, may."""
    return owns(user, customer_id) or _is_one_of(user, SUPPORT, OPERATIONS)


def _is_one_of(user: Any, *groups: str) -> bool:
    return bool(user.is_superuser or user.groups.filter(name__in=(*groups, ADMIN)).exists())
