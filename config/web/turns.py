"""Threads for requests, given to clients in turn: one client with many requests delays its own
only."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

# Seconds that a request waits for a thread before it is refused.
PATIENCE_SECONDS = 20.0

Result = TypeVar("Result")


class Overloaded(Exception):
    """No thread became free in time."""


class Turns:
    """A pool of threads. A client uses less than half of them at once; those that wait are served
    round-robin.

    All methods run in the event loop.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "request")
        self._free, self._most = threads, max(1, threads // 2 - 1)
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, client: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """The function's result, from a thread of the client's turn. Raises Overloaded."""
        if not self._free or self._running[client] >= self._most or client in self._waiting:
            await self._wait(client)
        else:
            self._begin(client)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        except BaseException:
            self._end(client)
            raise
        running.add_done_callback(lambda _: self._end(client))
        # A client that goes away cancels its wait, not the thread, which keeps its turn until it
        # has ended.
        return await asyncio.shield(running)

    def soon(self, function: Callable[[], object]) -> None:
        """In a thread, without a turn and without its result."""
        self._pool.submit(function)

    async def _wait(self, client: str) -> None:
        """Until a turn was given."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await turn
        except BaseException as error:
            self._withdraw(client, turn)
            if isinstance(error, TimeoutError):
                raise Overloaded from None
            raise

    def _withdraw(self, client: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self._end(client)  # given at the same moment
            return
        waiting = self._waiting.get(client)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[client]

    def _begin(self, client: str) -> None:
        self._free -= 1
        self._running[client] += 1

    def _end(self, client: str) -> None:
        self._free += 1
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._give()

    def _give(self) -> None:
        """A free thread to the client that has waited for longest and may have one more; it is the
        last one next."""
        client = next((each for each in self._waiting if self._running[each] < self._most), None)
        if client is None or not self._free:
            return
        waiting = self._waiting.pop(client)
        turn = waiting.popleft()
        if waiting:
            self._waiting[client] = waiting
        if turn.done():
            self._give()
            return
        self._begin(client)
        turn.set_result(None)
