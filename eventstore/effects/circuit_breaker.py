"""A circuit breaker for one subscription's provider, in this process: whoever fails and fails is
left alone for a while."""

import logging
import threading
import time
from datetime import timedelta

logger = logging.getLogger(__name__)

# What says that nobody is there, and not that a call was wrong.
NO_ANSWER = (TimeoutError, ConnectionError)
# How long the others wait for the one that is on trial.
TRIAL_SECONDS = 1.0


class Circuit:
    """trips: how many different messages must fail in a row, none answered between, for it to open.
    rest: for how long.

    A message that fails for ever does not open it alone. After the rest one call goes on trial: its
    answer closes it.
    """

    def __init__(self, name: str, *, trips: int, rest: timedelta) -> None:
        self.name, self.trips, self.rest = name, trips, rest.total_seconds()
        self.unanswered: set[int] = set()
        self.until: float | None = None
        self.lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        return self.until is not None

    @property
    def is_resting(self) -> bool:
        until = self.until
        return until is not None and time.monotonic() < until

    def allows(self, free: int, *, under_way: int) -> int:
        """How many calls may begin, where there is room for so many."""
        if self.is_resting:
            return 0
        return int(under_way == 0) if self.is_open else free

    def wait(self) -> float:
        """Seconds after which it is worth looking again, while it is open."""
        return max((self.until or 0.0) - time.monotonic(), TRIAL_SECONDS)

    def failed(self, position: int) -> None:
        with self.lock:
            self.unanswered.add(position)
            if not self.is_resting and (self.is_open or len(self.unanswered) >= self.trips):
                logger.warning(
                    "%s: its provider answers nobody; it is not asked for %s s",
                    self.name,
                    self.rest,
                )
                self.until = time.monotonic() + self.rest

    def answered(self) -> None:
        with self.lock:
            if self.is_open:
                logger.warning("%s: its provider answers again", self.name)
            self.until = None
            self.unanswered.clear()
