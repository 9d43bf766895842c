"""Each process hashes one password at a time, so that password guessing takes no time from other
requests."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from threading import BoundedSemaphore, get_native_id
from typing import Any

from django.contrib.auth.hashers import PBKDF2PasswordHasher

# Each waiting request occupies a thread of the web process.
MOST_WAITING = 2
# A lower priority than requests have, but not so low that the thread is kept from releasing the
# interpreter lock.
NICE = 5
RETRY_SECONDS = 2

_room = BoundedSemaphore(1 + MOST_WAITING)


class Busy(Exception):
    """Too many passwords are being checked at once. Retry in a moment."""


class OneAtATime(PBKDF2PasswordHasher):
    """Django's hasher with the same stored format. Every check and every new password goes through
    encode, which raises Busy."""

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
    """Started by the first password, after the process was forked."""
    return ThreadPoolExecutor(1, "hasher", initializer=_lower_priority)


def _lower_priority(*_: Any) -> None:
    if sys.platform == "linux":
        thread = get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICE)
