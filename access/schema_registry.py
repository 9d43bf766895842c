"""Who may use the schema registry, and how its clients log in: with a token, or with a name and a
password in each request (HTTP Basic), as the stock clients do.

A password is checked as at a login: counted by the same limits, one at a time. What was right stays
right for some minutes in this process, while the account is active and has the same password.
"""

import hmac
import secrets
import time
from collections import OrderedDict
from threading import Lock
from typing import Any, NamedTuple

from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, Throttled
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from eventstore.api import schema_registry

from . import admission
from .authorization import (
    ADMIN,
    FINANCE,
    OPERATIONS,
    SCHEMA_ADMIN,
    SCHEMA_READER,
    SCHEMA_WRITER,
    SUPPORT,
    is_in,
)

INVALID = "No active account has this username and password."
KEPT_SECONDS, MOST_KEPT = 300.0, 1000
LONGEST_NAME, LONGEST_PASSWORD = 150, 4096
# Right -> the groups that have it, beside ADMIN.
GROUPS = {
    schema_registry.READ: (
        SCHEMA_READER,
        SCHEMA_WRITER,
        SCHEMA_ADMIN,
        SUPPORT,
        OPERATIONS,
        FINANCE,
    ),
    schema_registry.REGISTER: (SCHEMA_WRITER, SCHEMA_ADMIN),
    schema_registry.ADMINISTER: (SCHEMA_ADMIN,),
}


class Verified(NamedTuple):
    """password: as it is stored, hashed. until: by time.monotonic()."""

    user_id: int
    password: str
    until: float


class VerifiedCredentials:
    """Names and passwords that were right, by a digest that only this process can compute."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = Lock()
        self._kept: OrderedDict[bytes, Verified] = OrderedDict()

    def find(self, name: str, password: str) -> User | None:
        """The account, while it is active and has the same password."""
        with self._lock:
            known = self._kept.get(self._digest(name, password))
        if known is None or known.until < time.monotonic():
            return None
        return User.objects.filter(
            pk=known.user_id, is_active=True, password=known.password
        ).first()

    def keep(self, name: str, password: str, user: User) -> None:
        verified = Verified(user.pk, user.password, time.monotonic() + KEPT_SECONDS)
        with self._lock:
            self._kept[self._digest(name, password)] = verified
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)

    def _digest(self, name: str, password: str) -> bytes:
        return hmac.digest(self._key, f"{len(name)} {name}{password}".encode(), "sha256")


VERIFIED = VerifiedCredentials()


class BasicAuthentication(authentication.BasicAuthentication):
    www_authenticate_realm = "schema registry"

    def authenticate_credentials(
        self, userid: str, password: str, request: Request | None = None
    ) -> tuple[Any, None]:
        assert request is not None
        if "\0" in userid + password:
            raise AuthenticationFailed(INVALID)
        if len(userid) > LONGEST_NAME or len(password) > LONGEST_PASSWORD:
            raise AuthenticationFailed(INVALID)
        if user := VERIFIED.find(userid, password):
            return user, None
        if exceeded := admission.count_login(request._request, userid):
            raise Throttled(exceeded.counted.left)
        checked = authenticate(request._request, username=userid, password=password)
        if not isinstance(checked, User):
            raise AuthenticationFailed(INVALID)
        VERIFIED.keep(userid, password, checked)
        return checked, None


class RegistryRights(BasePermission):
    def has_permission(self, request: Request, view: Any) -> bool:
        return is_in(request.user, *GROUPS[view.right], ADMIN)
