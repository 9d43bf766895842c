"""Admission of requests: who sends one, by the bearer token, and how many they may send.

Rate limits are counted in Redis for all processes together, so that a limit of ten is ten. The
middleware in config/middleware.py reports the remaining requests in every response
(draft-ietf-httpapi-ratelimit-headers), so that clients need not run into a limit.
"""

import hashlib
import logging
import time
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle, UserRateThrottle

from eventstore.postgres import rows

from . import accounts
from .models import Customer

logger = logging.getLogger(__name__)

# After an error of Redis, each process counts for itself for so long.
LOCAL_SECONDS = 5.0
MOST_LOCAL_KEYS = 100_000

INVALID = "Invalid or expired token."
# RFC 6750, 3: to a request without a token, and to one with a token that is not valid.
CHALLENGE = 'Bearer realm="orders"'
INVALID_TOKEN = f'{CHALLENGE}, error="invalid_token", error_description="{INVALID}"'


class BearerAuthentication(TokenAuthentication):
    """Knox's tokens, found by their digest: one query for each request, and a header with arbitrary
    bytes is no error.

    The user gets a customer_id, the id under which the account's objects are stored. Unlike a name,
    it is never given to another account.
    """

    def authenticate(self, request: Request) -> tuple[Any, AuthToken] | None:
        token = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        if token is None:
            return None
        return self.authenticate_credentials(token)

    def authenticate_header(self, request: Request) -> str:
        given = bearer_token(request.META.get("HTTP_AUTHORIZATION", ""))
        return CHALLENGE if given is None else INVALID_TOKEN

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


def bearer_token(authorization: str) -> bytes | None:
    """The token of an Authorization header; None for another scheme, whose names are compared
    without case (RFC 9110, 11.1)."""
    scheme, _, token = authorization.strip().partition(" ")
    return token.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else None


def unexpired() -> Q:
    return Q(expiry=None) | Q(expiry__gt=timezone.now())


class RequestCount(NamedTuple):
    """number: of requests in the window, this one included. left: seconds until the window ends."""

    number: int
    left: float


class Quota(NamedTuple):
    """How much of a limit is used. policy: the limit's name. most: requests in so many seconds."""

    policy: str
    most: int
    seconds: int
    counted: RequestCount

    @property
    def exceeded(self) -> bool:
        return self.counted.number > self.most


class RequestCounter:
    """Counts requests by key in fixed windows, which begin with the first request."""

    def __init__(self, redis_url: str) -> None:
        self._redis: Any = redis.Redis.from_url(
            redis_url, socket_timeout=0.5, socket_connect_timeout=0.5
        )
        self._lock = Lock()
        self._local_until = 0.0
        # key -> count, end of the window
        self.local: dict[str, tuple[int, float]] = {}

    def count(self, key: str, seconds: int) -> RequestCount:
        """Count one more request. No two requests get the same number, whichever processes they
        reach."""
        if time.monotonic() >= self._local_until:
            try:
                with self._redis.pipeline(transaction=True) as pipeline:
                    pipeline.set(key, 0, ex=seconds, nx=True).incr(key).pttl(key)
                    _, count, left = pipeline.execute()
                return RequestCount(int(count), max(left, 1) / 1000)
            except redis.RedisError as error:
                self._local_until = time.monotonic() + LOCAL_SECONDS
                logger.warning("Redis failed; each process counts requests for itself: %s", error)
        now = time.monotonic()
        with self._lock:
            if len(self.local) > MOST_LOCAL_KEYS:
                self.local.clear()
            known, until = self.local.get(key, (0, 0.0))
            if until <= now:
                known, until = 0, now + seconds
            self.local[key] = (known + 1, until)
        return RequestCount(known + 1, until - now)


COUNTER = RequestCounter(settings.REDIS_URL)


class SharedThrottle(SimpleRateThrottle):
    """A limit for all processes together. The window begins with the first request."""

    scope: str
    num_requests: int | None
    duration: int | None
    left: float = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        key = self.get_cache_key(request, view) if self.rate else None
        if key is None or self.num_requests is None or self.duration is None:
            return True
        quota = _use(request._request, self.scope, self.num_requests, self.duration, key)
        self.left = quota.counted.left
        return not quota.exceeded

    def wait(self) -> float:
        return self.left


class UserThrottle(SharedThrottle, UserRateThrottle):
    """For each user, or for each address of anonymous clients."""


def address(meta: Mapping[str, Any]) -> str:
    """The client's address, behind as many proxies as NUM_PROXIES says."""
    request = SimpleNamespace(
        META=meta, headers={"x-forwarded-for": meta.get("HTTP_X_FORWARDED_FOR")}
    )
    return str(BaseThrottle().get_ident(request))  # type: ignore[arg-type]


def count_login(request: HttpRequest, username: str) -> Quota | None:
    """Count an attempt to log in, by address and by account, whether the account exists or not.
    Returns the exceeded limit; of two, the one that lasts longer."""
    name = unicodedata.normalize("NFKC", username).casefold()
    account = hashlib.sha256(name.encode(errors="replace")).hexdigest()
    exceeded: list[Quota] = []
    for scope, subject in (("login", address(request.META)), ("account", account)):
        if rate := SimpleRateThrottle.THROTTLE_RATES.get(scope):
            most, seconds = SimpleRateThrottle.parse_rate(None, rate)  # type: ignore[arg-type]
            assert most is not None
            assert seconds is not None
            quota = _use(request, scope, most, seconds, f"throttle_{scope}_{subject}")
            if quota.exceeded:
                exceeded.append(quota)
    return max(exceeded, key=lambda each: each.counted.left, default=None)


def quotas(request: HttpRequest) -> list[Quota]:
    """The limits that the request was counted for."""
    found: list[Quota] = vars(request).setdefault("quotas", [])
    return found


def violated(request: Request) -> Sequence[str]:
    """The names of the limits that the request exceeds."""
    return [quota.policy for quota in quotas(request._request) if quota.exceeded]


def _use(request: HttpRequest, policy: str, most: int, seconds: int, key: str) -> Quota:
    quota = Quota(policy, most, seconds, COUNTER.count(key, seconds))
    quotas(request).append(quota)
    return quota


@cache
def _statement() -> str:
    """The SQL as Django generates it, but generated once and prepared once: that was half of the
    time of a query."""
    query = AuthToken.objects.select_related("user__customer").filter(digest="").query
    return str(query.sql_with_params()[0])


@cache
def _columns(model: Any) -> list[str]:
    return [field.attname for field in model._meta.concrete_fields]
