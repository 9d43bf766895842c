"""Rate limits, counted in Redis for all processes together, so that a limit of ten is ten.

The middleware in config/middleware.py reports the remaining requests in every response
(draft-ietf-httpapi-ratelimit-headers), so that clients need not run into a limit.
"""

import hashlib
import logging
import time
import unicodedata
from collections.abc import Mapping, Sequence
from threading import Lock
from types import SimpleNamespace
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle, UserRateThrottle

logger = logging.getLogger(__name__)

# After an error of Redis, each process counts for itself for so long.
LOCAL_SECONDS = 5.0
MOST_LOCAL_KEYS = 100_000


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


class User(SharedThrottle, UserRateThrottle):
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
