"""Authentication by bearer token."""

from functools import cache
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Q
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed

from access import accounts
from eventstore.postgres import rows

from .models import Customer

INVALID = "Invalid or expired token."


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


@cache
def _statement() -> str:
    """The SQL as Django generates it, but generated once and prepared once: that was half of the
    time of a query."""
    query = AuthToken.objects.select_related("user__customer").filter(digest="").query
    return str(query.sql_with_params()[0])


@cache
def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
