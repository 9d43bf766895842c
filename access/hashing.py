"""Passwords are hashed one at a time in each process, so that guessing in crowds takes no time from
others."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import BoundedSemaphore, get_native_id
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher

# Each that waits keeps a thread of the web process.
MOST_WAITING = 2
# Lower than requests', and not so low that the thread could be kept from giving back the
# interpreter's lock.
NICE = 5
RETRY_SECONDS = 2

_room = BoundedSemaphore(1 + MOST_WAITING)


class Busy(Exception):
    """Too many passwords are being checked at once. Try again in a moment."""


class OneAtATime(PBKDF2PasswordHasher):
    """Django's own, stored alike. Every check and every new password comes through here; encode
    raises Busy."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        if not _room.acquire(blocking=False):
            raise Busy
        try:
            hashed: str = (
                _thread().submit(partial(super().encode, password, salt, iterations)).result()
            )
        finally:
            _room.release()
        return hashed


@cache
def _thread() -> ThreadPoolExecutor:
    """Begun by the first password, so that each process has one of its own."""
    return ThreadPoolExecutor(1, "hasher", initializer=_lower_priority)


def _lower_priority(*_: Any) -> None:
    if sys.platform == "linux":
        thread = get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
