"""A circuit breaker for the provider of one subscription, in this process: a provider that keeps
failing gets no calls for a while (Nygard, "Release It!")."""

import logging
import threading
import time
from datetime import timedelta

logger = logging.getLogger(__name__)

# Errors of an unreachable provider, not of a wrong call.
NO_ANSWER = (TimeoutError, ConnectionError)
# How long other calls wait for the trial call.
TRIAL_SECONDS = 1.0


class Circuit:
    """trips: how many different messages must fail in a row before it opens. rest: how long it
    stays open.

    One message that keeps failing does not open it. After the rest one trial call is made; its
    answer closes the circuit.
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
        """How many calls may begin. free: how many there is room for."""
        if self.is_resting:
            return 0
        return int(under_way == 0) if self.is_open else free

    def wait(self) -> float:
        """Seconds until the next call may begin, while it is open."""
        return max((self.until or 0.0) - time.monotonic(), TRIAL_SECONDS)

    def failed(self, position: int) -> None:
        with self.lock:
            self.unanswered.add(position)
            if not self.is_resting and (self.is_open or len(self.unanswered) >= self.trips):
                logger.warning("%s: circuit opened, no calls for %s s", self.name, self.rest)
                self.until = time.monotonic() + self.rest

    def answered(self) -> None:
        with self.lock:
            if self.is_open:
                logger.warning("%s: circuit closed, the provider answers again", self.name)
            self.until = None
            self.unanswered.clear()
