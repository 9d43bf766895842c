"""Whose token a request bears."""

from typing import Any

from django.db.models import Q
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed


class BearerAuthentication(TokenAuthentication):
    """Knox's tokens, found by their digest: one query for each request, and no bytes of a header can break it."""

    def authenticate_credentials(self, token: bytes) -> tuple[Any, AuthToken]:
        digest = hash_token(token.decode("latin-1"))
        held = AuthToken.objects.select_related("user").filter(unexpired(), digest=digest).first()
        if held is None:
            raise AuthenticationFailed("This token is not known, or has expired.")
        return self.validate_user(held)  # type: ignore[no-any-return]


def unexpired() -> Q:
    return Q(expiry=None) | Q(expiry__gt=timezone.now())
