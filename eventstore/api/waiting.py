"""How many requests of this process wait for a read model at once: each of them occupies a
thread."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from eventstore import settings

_lock = Lock()
_waiting: Counter[str] = Counter()


@contextmanager
def room(user: str, seconds: float) -> Iterator[float]:
    """The seconds for which the request may wait: 0 if the user, or all users together, have as
    many waiting requests as the settings allow."""
    if seconds <= 0 or not _enter(user):
        yield 0.0
        return
    try:
        yield seconds
    finally:
        with _lock:
            _waiting[user] -= 1
            if not _waiting[user]:
                del _waiting[user]


def _enter(user: str) -> bool:
    with _lock:
        if _waiting.total() >= settings.most_waiting():
            return False
        if _waiting[user] >= settings.most_waiting_per_user():
            return False
        _waiting[user] += 1
        return True
