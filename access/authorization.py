"""Who sends a request, by the bearer token, and what they may do, by their roles.

Customers see their own objects. Each kind of staff sees everything and does its own work. Admins
may do everything.
"""

from functools import cache
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from access import accounts
from eventstore.postgres import rows

from .models import Customer

INVALID = "Invalid or expired token."

CUSTOMER = "customer"
SUPPORT = "support"
OPERATIONS = "operations"
FINANCE = "finance"
ADMIN = "admin"

# Every account is a customer; the group of that name grants nothing.
GROUPS = (CUSTOMER, SUPPORT, OPERATIONS, FINANCE, ADMIN)


class BearerAuthentication(TokenAuthentication):
    """Knox's tokens, found by their digest: one query for each request, and a header with arbitrary
    bytes is no error.

    The user gets a customer_id, the id under which the account's objects are stored. Unlike a name,
    it is never given to another account.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        stored = rows(_statement(), [hash_token(token.decode("latin-1"))])
        if not stored:
            raise AuthenticationFailed(INVALID)
        [row] = stored
        names, of_user = _columns(AuthToken), _columns(User)
        end = len(names) + len(of_user)
        found: AuthToken = AuthToken.from_db("default", names, row[: len(names)])
        if found.expiry is not None and found.expiry <= timezone.now():
            raise AuthenticationFailed(INVALID)
        found.user = User.from_db("default", of_user, row[len(names) : end])
        # NULL before the account's first request.
        customer_id = row[end + _columns(Customer).index("customer_id")]
        customer_id = customer_id or accounts.customer_id_of(found.user)
        found.user.customer_id = found.user.principal = customer_id
        return self.validate_user(found)  # type: ignore[no-any-return]


def unexpired() -> Q:
    return Q(expiry=None) | Q(expiry__gt=timezone.now())


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


@cache
def _statement() -> str:
    """The SQL as Django generates it, but generated once and prepared once: that was half of the
    time of a query."""
    query = AuthToken.objects.select_related("user__customer").filter(digest="").query
    return str(query.sql_with_params()[0])


@cache
def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]


def _is_one_of(user: Any, *groups: str) -> bool:
    return bool(user.is_superuser or user.groups.filter(name__in=(*groups, ADMIN)).exists())
