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


class BearerAuthentication(TokenAuthentication):
    """Knox's tokens, found by their digest: one query for each request, and a header with arbitrary
    bytes is no error.

    The user gets a customer_id, which says what belongs to the account (access/permissions.py).
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        found = _find(hash_token(token.decode("latin-1")))
        if found is None or (found.expiry is not None and found.expiry <= timezone.now()):
            raise AuthenticationFailed("Invalid or expired token.")
        return self.validate_user(found)  # type: ignore[no-any-return]


def unexpired() -> Q:
    return Q(expiry=None) | Q(expiry__gt=timezone.now())


def _find(digest: str) -> AuthToken | None:
    found = rows(_statement(), [digest])
    if not found:
        return None
    names, of_user = _columns(AuthToken), _columns(User)
    end = len(names) + len(of_user)
    token: AuthToken = AuthToken.from_db("default", names, found[0][: len(names)])
    token.user = User.from_db("default", of_user, found[0][len(names) : end])
    # NULL before the account's first request.
    customer_id = found[0][end + _columns(Customer).index("customer_id")]
    token.user.customer_id = token.user.principal = customer_id or accounts.customer_id_of(
        token.user
    )
    return token


@cache
def _statement() -> str:
    """The SQL as Django generates it, but generated once and prepared once: that was half of the
    time of a query."""
    query = AuthToken.objects.select_related("user__customer").filter(digest="").query
    return str(query.sql_with_params()[0])


@cache
def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
