"""Whose token a request bears."""

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
    """Knox's tokens, found by their digest: one query for each request, and no bytes of a header
    can break it.

    The user has a customer_id, which says what belongs to the account (eventstore.api.permissions).
    """

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        held = _held(hash_token(token.decode("latin-1")))
        if held is None or (held.expiry is not None and held.expiry <= timezone.now()):
            raise AuthenticationFailed("This token is not known, or has expired.")
        return self.validate_user(held)  # type: ignore[no-any-return]


def unexpired() -> Q:
    return Q(expiry=None) | Q(expiry__gt=timezone.now())


def _held(digest: str) -> AuthToken | None:
    found = rows(_statement(), [digest])
    if not found:
        return None
    names, of_user = _columns(AuthToken), _columns(User)
    end = len(names) + len(of_user)
    held: AuthToken = AuthToken.from_db("default", names, found[0][: len(names)])
    held.user = User.from_db("default", of_user, found[0][len(names) : end])
    # An account that has never asked for anything has none yet.
    known = found[0][end + _columns(Customer).index("customer_id")]
    held.user.customer_id = held.user.principal = known or accounts.customer_id_of(held.user)
    return held


@cache
def _statement() -> str:
    """As Django writes it, but written once and planned once: that was half of the time that a
    query takes."""
    query = AuthToken.objects.select_related("user__customer").filter(digest="").query
    return str(query.sql_with_params()[0])


@cache
def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
