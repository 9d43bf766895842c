"""A thread pool that is fair to clients: one client with many requests delays only its own."""

import asyncio
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

# A request that waits longer for a thread is rejected.
LONGEST_WAIT_SECONDS = 20.0

Result = TypeVar("Result")


class Overloaded(Exception):
    """No thread became free in time."""


class FairThreadPool:
    """A client uses less than half of the threads at once. Waiting clients get threads round-robin.

    All methods run in the event loop.
    """

    def __init__(self, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, "request")
        self._free, self._most = threads, max(1, threads // 2 - 1)
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    async def run(self, client: str, function: Callable[..., Result], *arguments: Any) -> Result:
        """The function's result, from a thread. Raises Overloaded."""
        if not self._free or self._running[client] >= self._most or client in self._waiting:
            await self._wait(client)
        else:
            self._acquire(client)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._pool, function, *arguments)
        except BaseException:
            self._release(client)
            raise
        running.add_done_callback(lambda _: self._release(client))
        # If the client disconnects, only its wait is cancelled. The thread counts as the client's
        # until it ends.
        return await asyncio.shield(running)

    def submit(self, function: Callable[[], object]) -> None:
        """Run the function in a thread, outside of the limits and without its result."""
        self._pool.submit(function)

    async def _wait(self, client: str) -> None:
        """Until a thread is acquired for the client."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                await turn
        except BaseException as error:
            self._withdraw(client, turn)
            if isinstance(error, TimeoutError):
                raise Overloaded from None
            raise

    def _withdraw(self, client: str, turn: "asyncio.Future[None]") -> None:
        if turn.done() and not turn.cancelled():
            self._release(client)  # acquired at the same moment
            return
        waiting = self._waiting.get(client)
        if waiting is not None and turn in waiting:
            waiting.remove(turn)
            if not waiting:
                del self._waiting[client]

    def _acquire(self, client: str) -> None:
        self._free -= 1
        self._running[client] += 1

    def _release(self, client: str) -> None:
        self._free += 1
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._serve_next()

    def _serve_next(self) -> None:
        """Give a free thread to the client that has waited longest and is below its limit. If it
        has more requests waiting, it goes to the end of the queue."""
        client = next((each for each in self._waiting if self._running[each] < self._most), None)
        if client is None or not self._free:
            return
        waiting = self._waiting.pop(client)
        turn = waiting.popleft()
        if waiting:
            self._waiting[client] = waiting
        if turn.done():
            self._serve_next()
            return
        self._acquire(client)
        turn.set_result(None)
