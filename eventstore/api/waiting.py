"""How many requests of this process wait for a read model at once, as each keeps a thread."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from eventstore import settings

_lock = Lock()
_waiting: Counter[str] = Counter()


@contextmanager
def room(who: str, seconds: float) -> Iterator[float]:
    """The seconds for which a client may wait; 0 where it, or all together, wait as often as they
    may."""
    if seconds <= 0 or not _enter(who):
        yield 0.0
        return
    try:
        yield seconds
    finally:
        _leave(who)


def _enter(who: str) -> bool:
    with _lock:
        if (
            _waiting.total() >= settings.most_waiting()
            or _waiting[who] >= settings.most_waiting_per_user()
        ):
            return False
        _waiting[who] += 1
        return True


def _leave(who: str) -> None:
    with _lock:
        _waiting[who] -= 1
        if not _waiting[who]:
            del _waiting[who]
