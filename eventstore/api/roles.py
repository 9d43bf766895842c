"""Who may do what: customers their own, support sees everything, operations runs the shop; a superuser may all."""

from typing import Any

from rest_framework.permissions import BasePermission
from rest_framework.request import Request

OPERATIONS = "operations"
SUPPORT = "support"


class Operations(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return _is_one_of(request.user, OPERATIONS)


class Staff(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return is_staff(request.user)


def is_staff(user: Any) -> bool:
    return _is_one_of(user, OPERATIONS, SUPPORT)


def may_touch(user: Any, customer_id: str) -> bool:
    """Whether something that belongs to this customer is any business of the user's."""
    return customer_id == user.get_username() or is_staff(user)


def _is_one_of(user: Any, *groups: str) -> bool:
    return bool(user.is_superuser or user.groups.filter(name__in=groups).exists())
