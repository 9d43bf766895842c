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
    with _lock:
        has_room = (
            seconds > 0
            and _waiting.total() < settings.most_waiting()
            and _waiting[user] < settings.most_waiting_per_user()
        )
        if has_room:
            _waiting[user] += 1
    if not has_room:
        yield 0.0
        return
    try:
        yield seconds
    finally:
        with _lock:
            _waiting[user] -= 1
            if not _waiting[user]:
                del _waiting[user]
