"""How often somebody may ask: counted for all processes together in Redis, so that a limit of ten
is ten.

What is left is told in every answer by draft-ietf-httpapi-ratelimit-headers, so that nobody has to
run into the limit.
"""

import hashlib
import logging
import math
import time
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from threading import Lock
from types import SimpleNamespace
from typing import Any, NamedTuple

import redis
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle, SimpleRateThrottle, UserRateThrottle

logger = logging.getLogger(__name__)

# A Redis that does not answer is left alone for a while; until then each process counts for itself.
SILENT_SECONDS = 5.0
MOST_KEYS = 100_000

_lock = Lock()
_own: dict[str, tuple[int, float]] = {}
_silent_until = 0.0


class RequestCount(NamedTuple):
    """asked: how often, this time included. left: seconds until that is forgotten."""

    asked: int
    left: float


class Quota(NamedTuple):
    """What a request has used of a limit. policy: its name. most: how many in so many seconds."""

    policy: str
    most: int
    seconds: int
    counted: RequestCount

    @property
    def exceeded(self) -> bool:
        return self.counted.asked > self.most


class RateLimitMiddleware:
    """Tells with each answer that was counted how many are left (r), and in how many seconds it
    begins anew (t)."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if used := _used(request):
            response["RateLimit-Policy"] = ", ".join(
                f'"{each.policy}";q={each.most};w={each.seconds}' for each in used
            )
            response["RateLimit"] = ", ".join(
                f'"{each.policy}";r={max(0, each.most - each.counted.asked)}'
                f";t={math.ceil(each.counted.left)}"
                for each in used
            )
        return response


class SharedThrottle(SimpleRateThrottle):
    """So many requests from the first one on, until the rate's duration has passed."""

    scope: str
    num_requests: int | None
    duration: int | None
    left: float = 0.0

    def allow_request(self, request: Request, view: Any) -> bool:
        who = self.get_cache_key(request, view) if self.rate else None
        if who is None or self.num_requests is None or self.duration is None:
            return True
        quota = Quota(self.scope, self.num_requests, self.duration, count(who, self.duration))
        self.left = quota.counted.left
        _used(request._request).append(quota)
        return not quota.exceeded

    def wait(self) -> float:
        return self.left


class User(SharedThrottle, UserRateThrottle):
    """Each user, or address without one."""


def address(meta: Mapping[str, Any]) -> str:
    """Where a request comes from, in front of as many proxies as NUM_PROXIES says."""
    request = SimpleNamespace(
        META=meta, headers={"x-forwarded-for": meta.get("HTTP_X_FORWARDED_FOR")}
    )
    return str(BaseThrottle().get_ident(request))  # type: ignore[arg-type]


def guess(request: HttpRequest, username: str) -> Quota | None:
    """Count an attempt to log in, for the address and for the account, whether it exists or not,
    wherever it is made.

    Returns the limit that is exceeded, of two the one that lasts longer.
    """
    account = hashlib.sha256(
        unicodedata.normalize("NFKC", username).casefold().encode(errors="replace")
    ).hexdigest()
    counted = [
        _counted(request, "login", address(request.META)),
        _counted(request, "account", account),
    ]
    exceeded = [each for each in counted if each is not None and each.exceeded]
    return max(exceeded, key=lambda each: each.counted.left, default=None)


def _counted(request: HttpRequest, scope: str, whose: str) -> Quota | None:
    rate = SimpleRateThrottle.THROTTLE_RATES.get(scope)
    if not rate:
        return None
    most, seconds = SimpleRateThrottle.parse_rate(None, rate)  # type: ignore[arg-type]
    assert most is not None
    assert seconds is not None
    quota = Quota(scope, most, seconds, count(f"throttle_{scope}_{whose}", seconds))
    _used(request).append(quota)
    return quota


def violated(request: Request) -> Sequence[str]:
    """The limits that the request has run into."""
    return [quota.policy for quota in _used(request._request) if quota.exceeded]


def count(key: str, seconds: int) -> RequestCount:
    """Count one more. No two requests are ever told the same number, whichever processes they
    reach."""
    global _silent_until
    if time.monotonic() >= _silent_until:
        try:
            with _redis().pipeline(transaction=True) as pipeline:
                pipeline.set(key, 0, ex=seconds, nx=True).incr(key).pttl(key)
                _, asked, left = pipeline.execute()
            return RequestCount(int(asked), max(left, 1) / 1000)
        except redis.RedisError as error:
            _silent_until = time.monotonic() + SILENT_SECONDS
            logger.warning("throttles are counted by each process for itself: %s", error)
    return _count_here(key, seconds)


def _used(request: HttpRequest) -> list[Quota]:
    found: list[Quota] = vars(request).setdefault("used_quotas", [])
    return found


def _count_here(key: str, seconds: int) -> RequestCount:
    now = time.monotonic()
    with _lock:
        if len(_own) > MOST_KEYS:
            _own.clear()
        asked, until = _own.get(key, (0, 0.0))
        if until <= now:
            asked, until = 0, now + seconds
        _own[key] = (asked + 1, until)
    return RequestCount(asked + 1, until - now)


@cache
def _redis() -> Any:
    return redis.Redis.from_url(settings.REDIS_URL, socket_timeout=0.5, socket_connect_timeout=0.5)
