"""What clients of Kafka log, without its repeats: each tries again several times a second and logs
each failure."""

import logging
import re
import time
from collections.abc import Callable
from functools import cache

SECONDS = 5.0
# More kinds than clients have; beyond it all are forgotten.
KINDS = 200
DIGITS = re.compile(r"\d+")


class ClientLog:
    """The logger of clients of librdkafka. Of lines that differ in their numbers only, one in
    SECONDS is logged, with the number of those left out since the last one."""

    def __init__(
        self, logger: logging.Logger, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.logger, self.clock = logger, clock
        # kind -> when it was last logged, and how many were left out since then
        self.kinds: dict[str, tuple[float, int]] = {}

    def log(self, level: int, text: str, *parts: object) -> None:
        """As of logging.Logger."""
        line = text % parts if parts else text
        kind, now = DIGITS.sub("0", line), self.clock()
        logged_at, left_out = self.kinds.get(kind, (now - SECONDS, 0))
        if now - logged_at < SECONDS:
            self.kinds[kind] = (logged_at, left_out + 1)
            return
        if len(self.kinds) >= KINDS:
            self.kinds.clear()
        self.kinds[kind] = (now, 0)
        self.logger.log(level, "%s%s", line, f" ({left_out} more like it)" if left_out else "")


@cache
def of(name: str) -> ClientLog:
    """The one of a module, for all clients of this process. name: of the logger."""
    return ClientLog(logging.getLogger(name))
